//! The world: who is there, the network between them, the order in which things happen, and what is checked.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use rackwright_dhcp::racks::Terms;
use rackwright_dhcp::{MacAddr, MessageType, Packet, Pool};

use crate::Bug;
use crate::checks::describe;
use crate::client::{Client, State, Step};
use crate::database::{Called, Database, Up};
use crate::event::{Counts, Event};
use crate::numbers::Numbers;
use crate::rack::{Effects, Input, Rack, is_ack};

pub const REGIONS: usize = 2;
/// Faults happen until then, milliseconds.
const FAULTS_END: u64 = 1_500_000;
/// Then all clients go; everything has to be free after that long.
const ALL_FREE: u64 = FAULTS_END + 400_000;
const END: u64 = ALL_FREE + 120_000;
/// How often racks speak to a region.
const UP_EVERY: u64 = 5_000;
const SWEEP_EVERY: u64 = 4_000;

pub struct World {
    pub now: u64,
    pub numbers: Numbers,
    pub racks: Vec<Rack>,
    pub clients: Vec<Client>,
    pub database: Database,
    /// The blocks; each rack begins with the one of its number.
    pub pools: Vec<Pool>,
    /// Regions are down until then; between rack and region, and rack and link, each direction is cut until then.
    pub region_down: [u64; REGIONS],
    pub cut_up: Vec<[u64; REGIONS]>,
    pub cut_down: Vec<[u64; REGIONS]>,
    pub cut_in: Vec<u64>,
    pub cut_out: Vec<u64>,
    pub counts: Counts,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    /// Of a hundred messages so many are lost.
    pub loss: u64,
    pub addresses: usize,
    pub last_holder: HashMap<Ipv4Addr, MacAddr>,
    pub given_by: HashMap<Ipv4Addr, Ipv4Addr>,
    trace: bool,
}

/// Short, so that much happens in little time; in the proportions of the real ones.
pub fn terms() -> Terms {
    Terms {
        own_seconds: 200,
        others_seconds: 80,
        longest_lease_seconds: 60,
        margin_seconds: 20,
        late_answer_seconds: 16,
    }
}

impl World {
    pub fn new(seed: u64, bug: Bug, trace: bool) -> World {
        let mut numbers = Numbers::new(seed);
        let racks = numbers.between(2, 3) as usize;
        let clients = numbers.between(4, 6) as u8;
        let blocks = racks + numbers.index(2);
        let size = numbers.between(2, 3) as u8;
        let pool = |number: usize| {
            let first = 100 + number as u8 * size;
            Pool { first: [10, 0, 0, first].into(), last: [10, 0, 0, first + size - 1].into() }
        };
        let pools: Vec<Pool> = (0..blocks).map(pool).collect();
        let loss = [0, 4, 20][numbers.index(3)];
        let mut world = World {
            now: 0,
            racks: (0..racks).map(|number| Rack::new(number, terms(), bug)).collect(),
            clients: (0..clients).map(Client::new).collect(),
            database: Database::new(terms(), racks, pools.clone(), bug),
            pools,
            region_down: [0; REGIONS],
            cut_up: vec![[0; REGIONS]; racks],
            cut_down: vec![[0; REGIONS]; racks],
            cut_in: vec![0; racks],
            cut_out: vec![0; racks],
            counts: Counts::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            loss,
            addresses: blocks * usize::from(size),
            last_holder: HashMap::new(),
            given_by: HashMap::new(),
            trace,
            numbers,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for rack in 0..self.racks.len() {
            self.after(1, Event::Start(rack, false));
            let first = self.numbers.between(10, UP_EVERY);
            self.after(first, Event::Tick(rack));
        }
        for client in 0..self.clients.len() {
            let wait = self.numbers.between(6_000, 60_000);
            self.after(wait, Event::Begin(client, 0, false));
        }
        for region in 0..REGIONS {
            self.after(1_000 + region as u64 * 2_000, Event::Sweep(region));
        }
        self.after(20_000, Event::Fault);
        self.after(FAULTS_END, Event::ClientsGo);
        self.after(ALL_FREE, Event::NewClients);
        self.after(END, Event::Finish);
    }

    pub fn after(&mut self, milliseconds: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + milliseconds, self.sequence), event);
    }

    /// Runs to the end; an error says which promise was broken.
    pub fn run(mut self) -> Result<Counts, String> {
        self.run_to_end()?;
        (self.counts.block_moves, self.counts.recalls) = (self.database.moves, self.database.recalls);
        Ok(self.counts)
    }

    /// Runs to the end: all that the database was asked and answered.
    pub fn record(mut self) -> Result<Vec<Called>, String> {
        self.database.calls = Some(Vec::new());
        self.run_to_end()?;
        Ok(self.database.calls.unwrap_or_default())
    }

    fn run_to_end(&mut self) -> Result<(), String> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            if matches!(event, Event::Finish) {
                return self.every_new_client_is_bound();
            }
            if self.trace {
                println!("{:>9} {event:?}", self.now);
            }
            self.happen(event).map_err(|broken| format!("at {} ms: {broken}", self.now))?;
            self.one_holder_each().map_err(|broken| format!("at {} ms: {broken}", self.now))?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::AtRack(rack, life, input) => return self.at_rack(rack, life, input),
            Event::AtRegion(region, up) => self.at_region(region, &up),
            Event::AtClient(client, packet) => return self.at_client(client, &packet),
            Event::Timer(client, timer) => {
                if self.clients[client].timer == timer {
                    let step = self.clients[client].tick(self.now, &mut self.numbers);
                    self.follow(client, step);
                }
            }
            Event::Begin(client, timer, reboot) => {
                if self.clients[client].timer == timer && !self.clients[client].gone {
                    let step = self.clients[client].begin(self.now, &mut self.numbers, reboot);
                    self.follow(client, step);
                }
            }
            Event::SyncDone(rack, life) => {
                let now = self.now;
                let process = &mut self.racks[rack];
                if process.life == life && process.member.is_some() {
                    if process.paused_until > now {
                        process.synced_meanwhile = true;
                        return Ok(());
                    }
                    let effects = self.racks[rack].finish_sync();
                    return self.carry_out(rack, effects);
                }
            }
            Event::Tick(rack) => self.tick(rack),
            Event::Sweep(region) => {
                if self.region_down[region] <= self.now {
                    self.database.sweep(self.now / 1000);
                }
                self.after(SWEEP_EVERY, Event::Sweep(region));
            }
            Event::Resume(rack) => return self.resume(rack),
            Event::Start(rack, same_boot) => {
                if self.racks[rack].member.is_none() {
                    self.racks[rack].start(same_boot, self.now);
                }
            }
            Event::Kill(rack) => self.kill(rack, true),
            Event::Fault => {
                if self.now < FAULTS_END - 1_000 {
                    self.fault();
                    let wait = self.numbers.between(3_000, 30_000);
                    self.after(wait, Event::Fault);
                }
            }
            Event::ClientsGo => {
                self.heal();
                for client in &mut self.clients {
                    client.crash(true);
                    client.gone = true;
                    client.timer += 1;
                }
            }
            Event::NewClients => return self.send_new_clients(),
            Event::Finish => {}
        }
        Ok(())
    }

    fn tick(&mut self, rack: usize) {
        self.after(UP_EVERY, Event::Tick(rack));
        if self.racks[rack].paused_until > self.now {
            return;
        }
        if let Some(up) = self.racks[rack].up(self.now) {
            let region = self.numbers.index(REGIONS);
            if self.cut_up[rack][region] <= self.now {
                for delay in self.deliveries() {
                    self.after(delay, Event::AtRegion(region, Box::new(up.clone())));
                }
            }
        }
    }

    /// When the copies of a message arrive; none when it is lost.
    fn deliveries(&mut self) -> Vec<u64> {
        if self.numbers.percent(self.loss) {
            return Vec::new();
        }
        let copies = if self.numbers.percent(5) { 2 } else { 1 };
        let delay = |numbers: &mut Numbers| match numbers.below(100) {
            0..92 => numbers.between(1, 20),
            92..98 => numbers.between(20, 2_000),
            _ => numbers.between(2_000, 60_000),
        };
        (0..copies).map(|_| delay(&mut self.numbers)).collect()
    }

    fn at_region(&mut self, region: usize, up: &Up) {
        if self.region_down[region] > self.now || self.cut_down[up.rack][region] > self.now {
            return;
        }
        if let Some(down) = self.database.exchange(up, self.now / 1000) {
            for delay in self.deliveries() {
                let input = Input::Down(Box::new(down.clone()));
                self.after(delay, Event::AtRack(up.rack, down.life, input));
            }
        }
    }

    fn at_rack(&mut self, number: usize, life: u32, input: Input) -> Result<(), String> {
        let rack = &mut self.racks[number];
        if rack.member.is_none() || (life != 0 && life != rack.life) {
            return Ok(());
        }
        if rack.paused_until > self.now {
            rack.inbox.push(input);
            return Ok(());
        }
        match input {
            Input::Down(down) => {
                let effects = rack.take_down(&down);
                self.carry_out(number, effects)
            }
            Input::Dhcp { packet, broadcast } => self.ask(number, &packet, broadcast),
        }
    }

    /// A DHCP message at a rack that runs.
    fn ask(&mut self, number: usize, packet: &Packet, broadcast: bool) -> Result<(), String> {
        let key = packet.client_key().ok_or("no client")?;
        let holder = self.clients.iter().find(|c| c.key() == key).and_then(|c| c.hold);
        let renews = packet.options.message_type() == Some(MessageType::Request)
            && !packet.ciaddr.is_unspecified()
            && holder.is_some_and(|h| h.address == packet.ciaddr && h.until > self.now);
        let rack = &mut self.racks[number];
        let knows = rack.knows(packet.ciaddr, &key);
        let (action, effects) = rack.take_dhcp(packet, broadcast, self.now);
        if self.trace {
            println!("          rack {number}: {}", describe(action.as_ref()));
        }
        if renews {
            self.renewal_is_served(number, packet, (knows, action.as_ref()))?;
        }
        self.carry_out(number, effects)
    }

    pub fn resume(&mut self, number: usize) -> Result<(), String> {
        let rack = &mut self.racks[number];
        if rack.paused_until > self.now {
            return Ok(());
        }
        let life = rack.life;
        if std::mem::take(&mut rack.synced_meanwhile) {
            let effects = rack.finish_sync();
            self.carry_out(number, effects)?;
        }
        let rack = &mut self.racks[number];
        for input in std::mem::take(&mut rack.inbox) {
            self.at_rack(number, life, input)?;
        }
        Ok(())
    }

    /// Sends what a rack sends, and lets its disk work.
    fn carry_out(&mut self, number: usize, effects: Effects) -> Result<(), String> {
        for reply in effects.send {
            if is_ack(&reply.packet) && !self.racks[number].is_durable(&reply.packet) {
                let address = reply.packet.yiaddr;
                return Err(format!("rack {number} acknowledges {address}, which is not durable"));
            }
            if self.cut_out[number] > self.now {
                continue;
            }
            let mac = reply.packet.mac();
            let Some(client) = self.clients.iter().position(|c| Some(c.mac) == mac) else { continue };
            for delay in self.deliveries() {
                self.after(delay, Event::AtClient(client, Box::new(reply.packet.clone())));
            }
        }
        if effects.sync {
            let slow = self.numbers.percent(5);
            let time = if slow { self.numbers.between(100, 3_000) } else { self.numbers.between(1, 20) };
            let life = self.racks[number].life;
            self.after(time, Event::SyncDone(number, life));
            // Crashes are rare, syncs short: this has them meet.
            if self.now < FAULTS_END && self.numbers.below(250) == 0 {
                self.after(time - 1, Event::Kill(number));
            }
        }
        Ok(())
    }

    fn at_client(&mut self, number: usize, packet: &Packet) -> Result<(), String> {
        let client = &mut self.clients[number];
        let (before, state) = (client.hold, client.state);
        let Some(step) = client.receive(packet, self.now, &mut self.numbers)? else { return Ok(()) };
        if let Some(hold) = client.hold.filter(|hold| Some(*hold) != before) {
            self.count(number, hold, state);
        }
        self.follow(number, step);
        Ok(())
    }

    /// Sends what a client sends and sets its timer.
    pub fn follow(&mut self, number: usize, step: Step) {
        if let Some((packet, to)) = step.send {
            for rack in 0..self.racks.len() {
                if to.is_some_and(|address| address != self.racks[rack].address) {
                    continue;
                }
                for delay in self.deliveries() {
                    if self.cut_in[rack] > self.now {
                        continue;
                    }
                    let packet = Box::new(packet.clone());
                    let input = Input::Dhcp { packet, broadcast: to.is_none() };
                    self.after(delay, Event::AtRack(rack, 0, input));
                }
            }
        }
        let client = &mut self.clients[number];
        client.timer += 1;
        let timer = client.timer;
        match step.wake {
            Some(wake) => self.after(wake, Event::Timer(number, timer)),
            None if client.state == State::Off => {
                let away = self.numbers.between(5_000, 90_000);
                let reboot = self.numbers.percent(60);
                self.after(away, Event::Begin(number, timer, reboot));
            }
            None => {}
        }
    }
}
