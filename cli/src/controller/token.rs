//! `rackwright rack token` and `rackwright region token`: what a new box is let in with.

use crate::console::Console;
use anyhow::{Context, Result};
use rackwright_region::model::controller_token::{Controller, TokenContent};
use rackwright_region::model::rack_token::{NewRackToken, RackToken};
use rackwright_region::model::region_token::{NewRegionToken, RegionToken};
use std::io::Read;

/// Makes a token with which a new box becomes a rack or a region; it is printed this once.
#[derive(Debug, clap::Args)]
pub struct MakeToken {
    /// The name the new one will have.
    name: String,
    /// How long the token is good: a number and s, m, h or d.
    #[arg(long, default_value = "1h", value_parser = seconds)]
    expires: u32,
}

impl MakeToken {
    /// Asks a region for it.
    pub async fn run(self, controller: Controller, console: &Console) -> Result<()> {
        let (name, expires_seconds) = (self.name, Some(self.expires));
        match controller {
            Controller::Rack => {
                let new = NewRackToken { name, expires_seconds };
                let made: RackToken = console.client.post("/racks/tokens", &new).await?;
                warn_of_loopback(&TokenContent::parse(controller, made.token.expose())?);
                console.show(&made, |made| made.token.expose().clone())
            }
            Controller::Region => {
                let new = NewRegionToken { name, expires_seconds };
                let made: RegionToken = console.client.post("/regions/tokens", &new).await?;
                warn_of_loopback(&TokenContent::parse(controller, made.token.expose())?);
                console.show(&made, |made| made.token.expose().clone())
            }
        }
    }
}

fn warn_of_loopback(content: &TokenContent) {
    let own = |url: &String| ["//127.", "//localhost", "//[::1]"].iter().any(|host| url.contains(host));
    if content.api.iter().any(own) {
        eprintln!(
            "rackwright: this token leads to {} and so works on this box only; for another box run the command \
             with --url http://ADDRESS:PORT, with an address of the region that the box reaches",
            content.api.join(", ")
        );
    }
}

/// A token as given: itself, or `-` for standard input.
pub fn read(controller: Controller, given: &str) -> Result<TokenContent> {
    let mut text = given.to_owned();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("cannot read the token")?;
    }
    Ok(TokenContent::parse(controller, &text)?)
}

/// `90s`, `30m`, `1h`, `2d` in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is not a time; write a number and s, m, h or d, such as 30m");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_token_is_answered_with_what_to_do() {
        for controller in [Controller::Rack, Controller::Region] {
            for text in ["", "rwt_abc", "rwe_", "rwe_abc", "rwj_", "rwj_abc", "hello"] {
                let error = TokenContent::parse(controller, text).unwrap_err().to_string();
                assert!(error.contains(&format!("`rackwright {controller} token NAME`")), "{text}: {error}");
            }
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!((seconds("90s"), seconds("30m"), seconds("1h")), (Ok(90), Ok(1800), Ok(3600)));
        assert_eq!(seconds("2d"), Ok(172_800));
        for text in ["", "h", "5", "1w", "-1h", "99999999d"] {
            assert!(seconds(text).unwrap_err().contains("such as 30m"), "{text}");
        }
    }
}
