//! What may happen in a world, and the count of what did.

use std::ops::AddAssign;

use rackwright_dhcp::Packet;

use crate::database::Up;
use crate::rack::Input;

/// What is to happen.
#[derive(Debug)]
pub enum Event {
    AtRack(usize, u32, Input),
    AtRegion(usize, Box<Up>),
    AtClient(usize, Box<Packet>),
    Timer(usize, u64),
    Begin(usize, u64, bool),
    SyncDone(usize, u32),
    Tick(usize),
    Sweep(usize),
    Resume(usize),
    Start(usize, bool),
    Kill(usize),
    Fault,
    ClientsGo,
    NewClients,
    Finish,
}

/// How much happened.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub bound: u64,
    pub extended_by_others: u64,
    pub rebooted: u64,
    pub given_to_another: u64,
    pub block_moves: u64,
    pub recalls: u64,
    pub records_lost: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.bound += other.bound;
        self.extended_by_others += other.extended_by_others;
        self.rebooted += other.rebooted;
        self.given_to_another += other.given_to_another;
        self.block_moves += other.block_moves;
        self.recalls += other.recalls;
        self.records_lost += other.records_lost;
    }
}
