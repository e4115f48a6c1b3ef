"""What dnspython's resolver makes of a server: PORT ORIGIN DNSKEY TSIG-SECRET TRANSFERRED NAME:TYPE...

Prints a line for each question, one for the proof of the first by the key, and one for the transferred zone.
"""

import sys

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.reversename
import dns.rrset
import dns.tsigkeyring
import dns.zone

SERVER = "127.0.0.1"


def main(port, origin, key, secret, transferred, *questions):
    port = int(port)
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = [SERVER], port, 5
    resolver.use_edns(0, 0, 1232)
    for question in questions:
        name, kind = question.rsplit(":", 1)
        if kind == "PTR":
            name = dns.reversename.from_address(name)
        try:
            answer = resolver.resolve(name, kind)
            said = " ".join(sorted(str(record) for record in answer))
            print(question, answer.canonical_name, said)
        except dns.resolver.NXDOMAIN:
            print(question, "does not exist")
        except dns.resolver.NoAnswer:
            print(question, "has no such record")

    # Both ways to ask: a short answer by UDP, and the key's set by TCP.
    zone = dns.name.from_text(origin)
    trusted = {zone: dns.rrset.from_text(zone, 60, "IN", "DNSKEY", key)}
    name, kind = questions[0].rsplit(":", 1)
    for name, kind, ask in [(name, kind, dns.query.udp), (origin, "DNSKEY", dns.query.tcp)]:
        asked = dns.message.make_query(name, kind, want_dnssec=True)
        found = ask(asked, SERVER, timeout=5, port=port)
        owner, kind = dns.name.from_text(name), dns.rdatatype.from_text(kind)
        records = found.find_rrset(found.answer, owner, dns.rdataclass.IN, kind)
        signatures = found.find_rrset(found.answer, owner, dns.rdataclass.IN, dns.rdatatype.RRSIG, kind)
        dns.dnssec.validate(records, signatures, trusted)
    print("both are signed with the key")

    ring = dns.tsigkeyring.from_text({"bind": secret})
    copy = dns.query.xfr(SERVER, transferred, port=port, keyring=ring, keyalgorithm="hmac-sha256", lifetime=30)
    print(transferred, "has", len(dns.zone.from_xfr(copy).nodes), "names")


main(*sys.argv[1:])
