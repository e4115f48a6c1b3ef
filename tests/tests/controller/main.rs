//! What a controller does when things go wrong that need no machine to be installed: one program, so that what waits
//! in one test costs the others nothing.

mod damage;
mod ladder;
mod operator;
mod outages;
mod over_ipv6;
mod startup;
mod strangers;
