use super::*;
use crate::packet::Mode;

fn request(options: &[(&str, &str)]) -> Request {
    let options = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Request { file: "f".to_owned(), mode: Mode::Octet, options }
}

fn start(options: &[(&str, &str)], size: u64) -> (Transfer, Instant) {
    let now = Instant::now();
    (Transfer::new(&request(options), size, Limits::default(), now), now)
}

fn ack(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0, 4, high, low]
}

fn drain(transfer: &mut Transfer) -> Vec<Output> {
    std::iter::from_fn(|| transfer.poll()).collect()
}

fn block(number: u16, offset: u64, length: u16) -> Output {
    Output::Block { number, offset, length }
}

#[test]
fn lockstep_sends_one_block_after_another_and_an_empty_last_one() {
    let (mut t, now) = start(&[], 1024);
    assert_eq!(drain(&mut t), [block(1, 0, 512)]);
    t.receive(&ack(1), now);
    assert_eq!(drain(&mut t), [block(2, 512, 512)]);
    t.receive(&ack(2), now);
    assert_eq!(drain(&mut t), [block(3, 1024, 0)]);
    t.receive(&ack(3), now);
    assert_eq!(drain(&mut t), []);
    assert_eq!(t.outcome(), Some(&Outcome::Complete));
    assert_eq!(t.delivered(), 1024);
}

#[test]
fn options_are_answered_first_and_data_follows_their_acknowledgement() {
    let (mut t, now) = start(&[("tsize", "0"), ("blksize", "1024")], 10);
    assert_eq!(drain(&mut t), [Output::Datagram(b"\0\x06tsize\010\0blksize\01024\0".to_vec())]);
    t.receive(&ack(7), now);
    assert_eq!(drain(&mut t), []);
    t.receive(&ack(0), now);
    assert_eq!(drain(&mut t), [block(1, 0, 10)]);
}

#[test]
fn a_repeated_acknowledgement_in_lockstep_is_not_answered() {
    let (mut t, now) = start(&[], 5000);
    drain(&mut t);
    t.receive(&ack(1), now);
    drain(&mut t);
    t.receive(&ack(1), now);
    assert_eq!(drain(&mut t), [], "the sorcerer's apprentice stays away");
}

#[test]
fn a_window_goes_out_at_once_and_resumes_after_the_last_block_that_arrived() {
    let (mut t, now) = start(&[("windowsize", "4"), ("blksize", "512")], 512 * 9);
    drain(&mut t);
    t.receive(&ack(0), now);
    assert_eq!(drain(&mut t).len(), 4);
    t.receive(&ack(2), now);
    let next: Vec<u16> = drain(&mut t)
        .iter()
        .map(|o| match o {
            Output::Block { number, .. } => *number,
            Output::Datagram(_) => panic!("data expected"),
        })
        .collect();
    assert_eq!(next, [3, 4, 5, 6]);
    t.receive(&ack(2), now);
    assert_eq!(drain(&mut t).len(), 4, "block 3 was lost");
    t.receive(&ack(2), now);
    assert_eq!(drain(&mut t), [], "once is enough; the clock does the rest");
    t.receive(&ack(6), now);
    assert_eq!(drain(&mut t).len(), 4);
    t.receive(&ack(10), now);
    assert_eq!(t.outcome(), Some(&Outcome::Complete));
}

#[test]
fn an_error_of_the_client_ends_it_at_once() {
    let (mut t, now) = start(&[("tsize", "0")], 10);
    t.receive(b"\0\x05\0\x08User aborted the transfer\0", now);
    assert!(matches!(t.outcome(), Some(Outcome::Aborted { code: 8, .. })));
    assert_eq!(drain(&mut t), []);
    assert!(t.deadline() <= now);
}

#[test]
fn silence_is_met_with_five_repeats_ever_slower_and_then_the_end() {
    let (mut t, start_time) = start(&[], 10);
    drain(&mut t);
    let mut waits = Vec::new();
    let mut now = start_time;
    while t.outcome().is_none() {
        waits.push((t.deadline() - now).as_secs());
        now = t.deadline();
        t.tick(now);
        if t.outcome().is_none() {
            assert_eq!(drain(&mut t), [block(1, 0, 10)]);
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    assert_eq!(t.outcome(), Some(&Outcome::TimedOut));
    assert_eq!(drain(&mut t), [Output::Datagram(error(code::OTHER, "no acknowledgement"))]);
}

#[test]
fn the_clients_own_timeout_is_kept_to() {
    let (mut t, now) = start(&[("timeout", "3")], 10);
    assert_eq!(t.deadline() - now, Duration::from_secs(3));
    t.tick(t.deadline());
    assert_eq!(t.deadline() - now, Duration::from_secs(6));
}

#[test]
fn block_numbers_roll_over_to_zero() {
    let size = 8 * 70_000;
    let (mut t, now) = start(&[("blksize", "8"), ("windowsize", "32")], size);
    drain(&mut t);
    t.receive(&ack(0), now);
    let mut seen = 0;
    while t.outcome().is_none() {
        let mut last = 0;
        for output in drain(&mut t) {
            let Output::Block { number, offset, length } = output else { panic!("data expected") };
            assert_eq!(offset, seen);
            assert_eq!(u64::from(number), (offset / 8 + 1) % 65536);
            seen += u64::from(length);
            last = number;
        }
        t.receive(&ack(last), now);
    }
    assert_eq!(seen, size);
}

#[test]
fn an_acknowledgement_from_the_future_or_the_past_changes_nothing() {
    let (mut t, now) = start(&[], 5000);
    drain(&mut t);
    for number in [2, 3, 40_000, 65_535] {
        t.receive(&ack(number), now);
    }
    assert_eq!(drain(&mut t), []);
    assert_eq!(t.delivered(), 0);
}

/// A small generator of repeatable numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

fn mutate(numbers: &mut Numbers, datagram: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    for _ in 0..=numbers.below(4) {
        match numbers.below(4) {
            0 if !bytes.is_empty() => {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.next() as u8;
            }
            1 => bytes.truncate(numbers.below(bytes.len() + 1)),
            2 => bytes.insert(numbers.below(bytes.len() + 1), numbers.next() as u8),
            _ => {
                let from = numbers.below(bytes.len() + 1);
                let part = bytes[from..].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes.truncate(2000);
    bytes
}

#[test]
fn three_hundred_thousand_damaged_datagrams_do_no_harm() {
    let seeds: [&[u8]; 6] = [
        b"\0\x01snponly.efi\0octet\0tsize\00\0blksize\01468\0windowsize\04\0timeout\03\0",
        b"\0\x02x\0netascii\0",
        b"\0\x04\0\x01",
        b"\0\x05\0\x08User aborted\0",
        b"\0\x06tsize\00\0",
        b"\0\x03\0\x01data",
    ];
    let mut numbers = Numbers(0x5eed);
    let mut now = Instant::now();
    let (mut t, _) = start(&[("windowsize", "4")], 100_000);
    for round in 0..300_000 {
        let bytes = mutate(&mut numbers, seeds[round % seeds.len()]);
        if let Ok(request) = Request::decode(&bytes) {
            let size = numbers.next() >> numbers.below(64);
            t = Transfer::new(&request, size, Limits::default(), now);
        }
        t.receive(&bytes, now);
        now += Duration::from_millis(numbers.next() % 200);
        t.tick(now);
        let blksize = t.settings().blksize;
        assert!(drain(&mut t).len() <= 33);
        assert!(blksize <= 1468);
        if t.outcome().is_some() {
            t = Transfer::new(&request(&[("windowsize", "4")]), 100_000, Limits::default(), now);
        }
    }
}

/// A client as RFC 7440 wants it, on a line that loses and repeats datagrams.
#[test]
fn whatever_the_line_loses_the_file_arrives() {
    for seed in 1..60_u64 {
        let mut numbers = Numbers(seed * 7919);
        let window = 1 + numbers.below(8);
        let size = numbers.next() % 40_000;
        let (mut t, mut now) = start(&[("blksize", "512"), ("windowsize", &window.to_string())], size);
        let (mut have, mut expected, mut in_window) = (0_u64, 1_u16, 0_usize);
        while t.outcome().is_none() {
            let outputs = drain(&mut t);
            if outputs.is_empty() {
                now = t.deadline();
                t.tick(now);
                continue;
            }
            for output in outputs {
                if numbers.below(10) == 0 {
                    continue;
                }
                let reply = match output {
                    Output::Datagram(_) => Some(0),
                    Output::Block { number, offset, length } if number == expected => {
                        assert_eq!(offset, have);
                        have += u64::from(length);
                        expected = expected.wrapping_add(1);
                        in_window += 1;
                        (in_window == window || length < 512).then(|| {
                            in_window = 0;
                            number
                        })
                    }
                    Output::Block { .. } => {
                        in_window = 0;
                        Some(expected.wrapping_sub(1))
                    }
                };
                let copies = match numbers.below(20) {
                    0 => 0,
                    1 => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    reply.inspect(|number| t.receive(&ack(*number), now));
                }
            }
        }
        assert!(t.outcome() == Some(&Outcome::Complete) || have == size, "seed {seed}: {:?}", t.outcome());
        assert_eq!(have, size, "seed {seed}");
    }
}
