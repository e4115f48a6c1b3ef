//! The first hour: from nothing to the first deployed machine, in steps that check themselves.

use super::Layout;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Status;
use rackwright_region::model::controller::SiteStatus;
use rackwright_region::model::image::{Image, ImagePurpose};
use rackwright_region::model::network::{IpRange, RangeKind, Subnet, Vlan};

/// What a step looks at.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The site.
    pub status: &'a SiteStatus,
    /// VLANs.
    pub vlans: &'a [Vlan],
    /// Subnets.
    pub subnets: &'a [Subnet],
    /// Ranges.
    pub ranges: &'a [IpRange],
    /// Images.
    pub images: &'a [Image],
    /// The site's default image.
    pub default_image: Option<String>,
    /// The visitor's SSH keys.
    pub keys: usize,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is to be there.
    pub title: &'static str,
    /// It is there.
    pub done: bool,
    /// What was found.
    pub found: String,
    /// How to get there.
    pub how: &'static str,
    /// The page that does it: text and address.
    pub page: Option<(&'static str, String)>,
    /// The command that does it.
    pub command: &'static str,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "start.html")]
pub struct StartPage {
    /// Around it.
    pub layout: Layout,
    /// In order.
    pub steps: Vec<Step>,
}

impl StartPage {
    /// Of what there is.
    pub fn new(layout: Layout, s: &Sources<'_>) -> Self {
        Self {
            layout,
            steps: vec![
                rack(s),
                range(s),
                ephemeral(s),
                system(s),
                key(s),
                enlisted(s),
                ready(s),
                deployed(s),
            ],
        }
    }

    /// How many steps are done.
    pub fn done(&self) -> usize {
        self.steps.iter().filter(|s| s.done).count()
    }

    /// The first one that is not.
    pub fn next(&self) -> usize {
        self.steps.iter().position(|s| !s.done).unwrap_or(self.steps.len())
    }
}

fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn rack(s: &Sources<'_>) -> Step {
    let heard = s.status.racks.iter().filter(|r| r.connected).map(|r| r.name.as_str()).collect::<Vec<_>>();
    let found = match (heard.is_empty(), s.status.racks.len()) {
        (false, _) => format!("{} heard: {}", count(heard.len(), "rack"), heard.join(", ")),
        (true, 0) => "No rack has enrolled.".into(),
        (true, n) => format!("{} enrolled, and none is heard.", count(n, "rack")),
    };
    Step {
        title: "A rack that is heard",
        done: !heard.is_empty(),
        found,
        how: "A rack serves DHCP, network boot and power. `rackwright up` runs one on this box; on another box, enrol it with a token.",
        page: Some(("Controllers", "/controllers".into())),
        command: "rackwright rack token NAME",
    }
}

fn range(s: &Sources<'_>) -> Step {
    let served = |subnet: &Subnet| s.vlans.iter().any(|v| v.id == subnet.vlan && v.dhcp);
    let dynamic =
        |subnet: &Subnet| s.ranges.iter().any(|r| r.subnet == subnet.id && r.kind == RangeKind::Dynamic);
    let good: Vec<_> =
        s.subnets.iter().filter(|n| served(n) && dynamic(n)).map(|n| n.cidr.to_string()).collect();
    let (found, page) = if !good.is_empty() {
        (format!("Served: {}", good.join(", ")), ("Networks", "/networks".to_owned()))
    } else if let Some(subnet) = s.subnets.iter().find(|n| dynamic(n)) {
        let page = ("Its VLAN", format!("/networks/vlans/{}", subnet.vlan));
        (format!("{} has a dynamic range, but DHCP is off on its VLAN.", subnet.cidr), page)
    } else if let Some(subnet) = s.subnets.first() {
        let page = ("The subnet", format!("/networks/subnets/{}", subnet.id));
        (format!("{} has no dynamic range.", subnet.cidr), page)
    } else {
        ("There is no subnet yet.".to_owned(), ("New subnet", "/networks/subnets/new".to_owned()))
    };
    Step {
        title: "A network whose machines get addresses",
        done: !good.is_empty(),
        found,
        how: "The subnet that machines boot from needs a dynamic range, and DHCP on its VLAN. No other DHCP server may answer there.",
        page: Some(page),
        command: "rackwright ip-range create --subnet NUMBER FIRST LAST",
    }
}

fn ephemeral(s: &Sources<'_>) -> Step {
    let image = s.images.iter().find(|i| i.kind == ImagePurpose::Ephemeral);
    Step {
        title: "The environment that machines boot",
        done: image.is_some(),
        found: image.map_or_else(|| "Not built yet.".into(), |i| format!("{}@{}", i.name, i.version)),
        how: "A kernel and a small system that read a machine's hardware, test it and install it. It is built on a box with this program, in a minute.",
        page: Some(("Images", "/images".into())),
        command: "rackwright image build-ephemeral",
    }
}

fn system(s: &Sources<'_>) -> Step {
    let names: Vec<_> =
        s.images.iter().filter(|i| i.kind == ImagePurpose::Os).map(|i| i.name.as_str()).collect();
    let found = match (names.first(), &s.default_image) {
        (None, _) => "None yet.".to_owned(),
        (Some(_), Some(default)) => format!("{}; {default} by default", count(names.len(), "version")),
        (Some(name), None) => format!("{name}; no default is set, so each deployment names its image"),
    };
    Step {
        title: "An operating system to deploy",
        done: !names.is_empty(),
        found,
        how: "Build one from packages, import one that others made, or upload one here.",
        page: Some(("New image", "/images/new".into())),
        command: "rackwright image build debian-12",
    }
}

fn key(s: &Sources<'_>) -> Step {
    Step {
        title: "Your SSH key",
        done: s.keys > 0,
        found: if s.keys == 0 {
            "You have none: nobody could log in to what you deploy.".into()
        } else {
            count(s.keys, "key")
        },
        how: "It gets onto the machines that you deploy.",
        page: Some(("Account", "/account".into())),
        command: "rackwright ssh-key add ~/.ssh/id_ed25519.pub",
    }
}

fn machines(s: &Sources<'_>, wanted: impl Fn(Status) -> bool) -> i64 {
    let counts = s.status.machines.iter();
    counts.filter(|(name, _)| name.parse::<Status>().is_ok_and(&wanted)).map(|(_, n)| *n).sum()
}

fn enlisted(s: &Sources<'_>) -> Step {
    let n = machines(s, |_| true);
    Step {
        title: "A machine that was seen",
        done: n > 0,
        found: if n == 0 {
            "None yet.".into()
        } else {
            count(usize::try_from(n).unwrap_or(usize::MAX), "machine")
        },
        how: "Set a machine to boot from the network and switch it on: it enlists itself.",
        page: Some(("Machines", "/machines".into())),
        command: "rackwright event follow",
    }
}

fn ready(s: &Sources<'_>) -> Step {
    let commissioned = |status: Status| {
        matches!(
            status,
            Status::Ready | Status::Allocated | Status::Deploying | Status::Deployed | Status::Releasing
        )
    };
    let n = machines(s, commissioned);
    Step {
        title: "A machine that is Ready",
        done: n > 0,
        found: match machines(s, |status| status == Status::Commissioning) {
            0 if n == 0 => "None yet.".into(),
            busy if n == 0 => format!("{busy} on the way."),
            _ => format!("{n} commissioned"),
        },
        how: "Commissioning reads the hardware, sets up the BMC and runs tests. A machine without BMC is switched on by hand.",
        page: Some(("New machines", "/machines?status=new".into())),
        command: "rackwright machine commission MACHINE --wait",
    }
}

fn deployed(s: &Sources<'_>) -> Step {
    let n = machines(s, |status| status == Status::Deployed);
    Step {
        title: "A machine that runs your system",
        done: n > 0,
        found: match machines(s, |status| status == Status::Deploying) {
            0 if n == 0 => "None yet.".into(),
            busy if n == 0 => format!("{busy} on the way."),
            _ => format!("{n} deployed"),
        },
        how: "Deploy a Ready machine, wait for it to report, and log in with your key.",
        page: Some(("Ready machines", "/machines?status=ready".into())),
        command: "rackwright machine deploy MACHINE --wait",
    }
}

#[cfg(test)]
impl StartPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let (network, status) = (sample::network(), sample::site_status());
        let subnets: Vec<_> = network.subnets.iter().map(|(s, _)| s.clone()).collect();
        let sources = Sources {
            status: &status,
            vlans: &network.vlans,
            subnets: &subnets,
            ranges: &network.ranges,
            images: &[sample::image()],
            default_image: Some(sample::MARKUP.into()),
            keys: 0,
        };
        Self::new(Layout::sample("Overview"), &sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn a_step_says_what_is_missing_and_leads_there() {
        let mut network = sample::network();
        let status = SiteStatus { machines: [("new".to_owned(), 2)].into(), ..sample::site_status() };
        let subnets: Vec<_> = network.subnets.iter().map(|(s, _)| s.clone()).collect();
        network.vlans[0].dhcp = false;
        let sources = Sources {
            status: &status,
            vlans: &network.vlans,
            subnets: &subnets,
            ranges: &network.ranges,
            images: &[],
            default_image: None,
            keys: 1,
        };
        let page = StartPage::new(Layout::sample("Overview"), &sources);
        let range = &page.steps[1];
        assert!(!range.done && range.found.contains("DHCP is off"), "{range:?}");
        assert_eq!(range.page.as_ref().map(|p| p.1.as_str()), Some("/networks/vlans/1"));
        let done: Vec<_> = page.steps.iter().map(|s| s.done).collect();
        assert_eq!(done[2..], [false, false, true, true, false, false]);
        assert_eq!(page.next(), 1);
    }
}
