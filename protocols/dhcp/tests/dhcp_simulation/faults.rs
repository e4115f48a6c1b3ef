//! What goes wrong, and how it is put right.

use crate::client::State;
use crate::event::Event;
use crate::world::{REGIONS, World, terms};

impl World {
    /// One thing goes wrong, or a client does what clients do.
    pub fn fault(&mut self) {
        let rack = self.numbers.index(self.racks.len());
        match self.numbers.below(14) {
            0 | 1 => self.kill(rack, true),
            2 => self.kill(rack, false),
            3 => self.fence(rack),
            4 | 5 => self.pause(rack),
            6..=8 => self.cut_from_regions(rack),
            9 => self.cut_from_link(rack),
            10 => {
                let region = self.numbers.index(REGIONS);
                self.region_down[region] = self.now + self.duration();
            }
            11 => self.jump_clock(rack),
            _ => {}
        }
        let client = self.numbers.index(self.clients.len());
        match self.numbers.below(10) {
            0..3 => self.release(client),
            3..6 => self.crash_client(client),
            _ => {}
        }
    }

    /// Mostly seconds, sometimes longer than any of the terms.
    fn duration(&mut self) -> u64 {
        match self.numbers.below(10) {
            0..4 => self.numbers.between(500, 15_000),
            4..8 => self.numbers.between(15_000, 120_000),
            _ => self.numbers.between(120_000, 500_000),
        }
    }

    fn stop(&mut self, rack: usize) {
        let written = self.racks[rack].unsynced();
        if self.racks[rack].member.is_some() {
            let kept = self.numbers.between(0, written as u64) as usize;
            self.counts.records_lost += (written - kept) as u64;
            self.racks[rack].crash(kept);
        }
    }

    pub fn kill(&mut self, rack: usize, same_boot: bool) {
        if self.racks[rack].member.is_some() {
            self.stop(rack);
            let down = self.duration();
            self.after(down, Event::Start(rack, same_boot));
        }
    }

    /// Its box is switched off, and comes back after a while.
    fn fence(&mut self, rack: usize) {
        if self.racks[rack].member.is_some() {
            self.kill(rack, false);
            self.database.fence(rack, self.now / 1000);
        }
    }

    fn pause(&mut self, rack: usize) {
        let time = self.duration();
        self.racks[rack].paused_until = self.now + time;
        self.after(time, Event::Resume(rack));
    }

    fn cut_from_regions(&mut self, rack: usize) {
        let until = self.now + self.duration();
        let (up, down) = [(true, true), (true, false), (false, true), (true, true)][self.numbers.index(4)];
        let all = self.numbers.percent(70);
        let one = self.numbers.index(REGIONS);
        for region in (0..REGIONS).filter(|r| all || *r == one) {
            if up {
                self.cut_up[rack][region] = until;
            }
            if down {
                self.cut_down[rack][region] = until;
            }
        }
    }

    fn cut_from_link(&mut self, rack: usize) {
        let until = self.now + self.duration();
        if self.numbers.percent(70) {
            self.cut_in[rack] = until;
        }
        if self.numbers.percent(70) {
            self.cut_out[rack] = until;
        }
    }

    /// Any jump, but never further from the true time than half of what is allowed for.
    fn jump_clock(&mut self, rack: usize) {
        let most = terms().margin_seconds * 1000 / 2 - 1_000;
        self.racks[rack].clock_error = self.numbers.below(2 * most) as i64 - most as i64;
    }

    fn release(&mut self, client: usize) {
        if self.clients[client].hold.is_some() {
            let step = self.clients[client].release(self.now);
            self.follow(client, step);
        }
    }

    fn crash_client(&mut self, client: usize) {
        if self.clients[client].state != State::Off {
            let forget = self.numbers.percent(50);
            self.clients[client].crash(forget);
            self.follow(client, crate::client::Step::default());
        }
    }

    /// Everything runs, and everything is connected.
    pub fn heal(&mut self) {
        self.region_down = [0; REGIONS];
        for rack in 0..self.racks.len() {
            (self.cut_up[rack], self.cut_down[rack]) = ([0; REGIONS], [0; REGIONS]);
            (self.cut_in[rack], self.cut_out[rack]) = (0, 0);
            self.racks[rack].paused_until = 0;
            self.after(1, Event::Resume(rack));
            if self.racks[rack].member.is_none() {
                self.after(2, Event::Start(rack, false));
            }
        }
    }
}
