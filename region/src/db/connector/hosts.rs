//! The hosts of a `database_url`: `postgres://user:password@one,two:5433,three/database?…`.

use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

/// One server of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// Name or address.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// How to log in there.
    pub options: PgConnectOptions,
}

/// The hosts that a URL names, in its order; none where it names one only, or a socket.
pub(super) fn parse(url: &str) -> Result<Vec<Host>, sqlx::Error> {
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(Vec::new()) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A password may hold an @ that somebody did not escape; a host name holds none.
    let (user, hosts) =
        authority.rsplit_once('@').map_or((String::new(), authority), |(u, h)| (format!("{u}@"), h));
    if !hosts.contains(',') {
        return Ok(Vec::new());
    }
    hosts
        .split(',')
        .map(|host| {
            let options = PgConnectOptions::from_str(&format!("{scheme}://{user}{host}{tail}"))?;
            let name = options.get_host().trim_matches(['[', ']']).to_owned();
            Ok(Host { name, port: options.get_port(), options })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str) -> Vec<(String, u16)> {
        parse(url).unwrap().into_iter().map(|host| (host.name, host.port)).collect()
    }

    #[test]
    fn several_hosts_have_a_port_each_and_share_the_rest() {
        let url = "postgres://app:p%40ss@10.0.0.1,db2:5433,[fd00::3]:5434/rackwright?application_name=x";
        let hosts = parse(url).unwrap();
        assert_eq!(names(url), [("10.0.0.1".into(), 5432), ("db2".into(), 5433), ("fd00::3".into(), 5434)]);
        for host in hosts {
            assert_eq!(host.options.get_username(), "app");
            assert_eq!(host.options.get_database(), Some("rackwright"));
            assert_eq!(host.options.get_application_name(), Some("x"));
        }
    }

    #[test]
    fn one_host_and_sockets_are_not_a_cluster() {
        for url in [
            "postgres:///rackwright",
            "postgres://u@localhost/db",
            "postgres://u@localhost/db?host=/run/a,b",
            "postgres://u@%2Frun%2Fpg/db",
        ] {
            assert!(parse(url).unwrap().is_empty(), "{url}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_an_error() {
        assert!(parse("postgres://u@one:x,two/db").is_err());
    }
}
