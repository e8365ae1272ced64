"""The wording of findings about the chain, its trust, and what the port serves."""

from app.doctor.finding import WHO_LISTENS, Catalogue, Level, Wording
from app.domain.language import msgid

FIX_CHAIN = "aisha-webhook cert fix-chain"
CERTBOT_NEW = "sudo certbot certonly --standalone -d {name}"
TIDY = msgid("Rewrite the file: the certificate, then the intermediates in order.")

CHAIN_WORDS: Catalogue = {
    "chain.ok": Wording(Level.OK, msgid('chain: {subjects}; above it the root "{root}"')),
    "chain.order": Wording(
        Level.WARN,
        msgid("{file}: the certificates are out of order; they are served right by us, and as they stand by nginx"),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.duplicate": Wording(
        Level.WARN,
        msgid('{file}: "{subject}" stands there twice'),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.unrelated": Wording(
        Level.WARN,
        msgid('{file}: "{subject}" does not lead from our certificate to a root; clients have no use for it'),
        msgid("Take it out of the file."),
        command=FIX_CHAIN,
    ),
    "chain.other_way": Wording(
        Level.OK,
        msgid('{file}: "{subject}", signed by "{issuer}" (until {until}), is another way to a root; it is not sent'),
    ),
    "chain.root_included": Wording(
        Level.WARN,
        msgid('{file}: the root "{subject}" need not be sent: the client has it, or it is of no help'),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.issuer_missing": Wording(
        Level.FAIL,
        msgid(
            'the intermediate "{issuer}" (key {key}) is missing: curl will say "unable to get local issuer certificate"'
        ),
        msgid("The issuer keeps it at {url}; it can be fetched and put into {cert}."),
        command=FIX_CHAIN,
    ),
    "chain.not_full": Wording(
        Level.FAIL,
        msgid("{file} is certbot's file without intermediates; beside it lies {whole}, which has them"),
        msgid("Write SSL_CERT_PATH={whole} into .env and start the server again."),
        command="openssl storeutl -noout -certs {whole}",
    ),
    "chain.issuer_unknown": Wording(
        Level.FAIL,
        msgid(
            '"{issuer}" (key {key}) is neither in the files nor among this system\'s roots, and the certificate '
            "does not say where it lies"
        ),
        msgid(
            "Ask the issuer for the intermediates and put them into {bundle}; if it is a private authority, fal "
            "will not believe it."
        ),
        command="openssl x509 -in {cert} -noout -issuer -ext authorityKeyIdentifier",
    ),
    "chain.issuer_other_key": Wording(
        Level.FAIL,
        msgid('"{issuer}" is in the files, but with another key: {key} is needed, {found} is there'),
        msgid("It is the intermediate of another generation: replace it by the one that came with the certificate."),
        command=FIX_CHAIN,
    ),
    "trust.ok": Wording(
        Level.OK,
        msgid("the roots of this system ({count}) trust the certificate now and in {days} days"),
    ),
    "trust.self_signed": Wording(
        Level.WARN,
        msgid(
            "the certificate is self-signed: whether fal accepts that is not documented (docs/fal.md), and its client "
            "looks like one that verifies"
        ),
        msgid("Take one from Let's Encrypt."),
        command=CERTBOT_NEW,
    ),
    "trust.refused": Wording(
        Level.FAIL,
        msgid("verification by the roots of this system fails: {reason}"),
        msgid("Order a new certificate from a public authority."),
        command="openssl verify -verbose -untrusted {cert} {cert}",
    ),
    "trust.ends_soon": Wording(
        Level.WARN,
        msgid("in {days} days the chain will no longer be trusted: {reason}"),
        msgid("Renew the certificate together with its intermediates."),
    ),
    "trust.no_roots": Wording(
        Level.WARN,
        msgid("this system has no root certificates: trust cannot be judged, and TLS to the outside will not work"),
        msgid("Install the package ca-certificates."),
        command="sudo apt install ca-certificates",
    ),
}
SERVED_WORDS: Catalogue = {
    "served.ok": Wording(
        Level.OK,
        msgid("{address} serves this chain ({count}), {version}"),
    ),
    "served.seen": Wording(
        Level.OK,
        msgid('{address} serves "{subject}", {version}; there is nothing to compare it with'),
    ),
    "served.refused": Wording(
        Level.FAIL,
        msgid("{address} refuses connections: the server does not run"),
        msgid("Start the server."),
        command="sudo systemctl start aisha-webhook-api || make run",
    ),
    "served.unreachable": Wording(
        Level.FAIL,
        msgid("{address} does not answer ({reason})"),
        msgid("See who listens on the port and what the log says."),
        command=WHO_LISTENS,
    ),
    "served.no_tls": Wording(
        Level.FAIL,
        msgid("{address} does not speak TLS 1.2 or newer ({reason})"),
        msgid("Look at SSL_ENABLED, and whether it is our server that has the port."),
        command=WHO_LISTENS,
    ),
    "served.other_certificate": Wording(
        Level.FAIL,
        msgid('{address} serves another certificate than the files hold: "{subject}", until {until}'),
        msgid(
            "Files are read again within seconds. If that is no help, another has the port, or the log says why not."
        ),
        command=WHO_LISTENS,
    ),
    "served.other_chain": Wording(
        Level.FAIL,
        msgid("{address} serves the same certificate with another chain: {served} in place of {expected}"),
        msgid("Where nginx has the port, give its ssl_certificate the file with the full chain."),
        command=WHO_LISTENS,
    ),
}
