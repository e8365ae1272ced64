"""The wording of findings about repairs of the certificate's files."""

from app.doctor.finding import Catalogue, Level, Wording
from app.domain.language import msgid

REPAIR_WORDS: Catalogue = {
    "repair.chain": Wording(
        Level.OK,
        msgid("{file}: now the certificate and its intermediates in order ({count}); the previous one is {backup}"),
    ),
    "repair.text": Wording(
        Level.OK,
        msgid("{file}: rewritten as plain text; the previous one is {backup}"),
    ),
    "repair.key_mode": Wording(Level.OK, msgid("{file}: the mode is now {mode}, it was {before}")),
    "repair.key_of_another": Wording(
        Level.WARN,
        msgid("{file} is left alone: closed to others, the owner of its folder, likely the server, could not read it"),
        msgid("Give the key to the owner of its folder, and close it."),
        command="sudo chown {owner}:{group} {file} && sudo chmod o=,g-w {file}",
    ),
    "repair.key_of_server": Wording(
        Level.WARN,
        msgid("{file} is left alone: closed to others, the server (User={user} in its unit) could not read it"),
        msgid("Let the server's group read it, and close it."),
        command="sudo chgrp {group} {file} && sudo chmod g=r,o= {file}",
    ),
    "repair.more_inside": Wording(
        Level.FAIL,
        msgid("{file} is left alone: besides certificates it holds {kinds}, which rewriting would lose"),
        msgid(
            "Take it apart as shown, name the parts in SSL_CERT_PATH and SSL_KEY_PATH, and try again; "
            "intermediates that are missing go into {bundle}."
        ),
    ),
    "repair.not_fetched": Wording(
        Level.FAIL,
        msgid('the intermediate "{issuer}" could not be fetched: {url}'),
        msgid("Look at the network, or put it into {bundle} yourself."),
        command="curl -fsS {url} | openssl x509 -inform DER",
    ),
    "repair.root_untrusted": Wording(
        Level.FAIL,
        msgid('the chain is complete up to the root "{root}", which this system does not trust'),
        msgid("Bring ca-certificates up to date; a private authority fal will not believe: take a public certificate."),
        command="sudo apt install --only-upgrade ca-certificates",
    ),
    "repair.renewal_owned": Wording(
        Level.FAIL,
        msgid("{file} belongs to certbot, which writes it itself: it is left alone"),
        msgid("Let certbot issue it anew; SSL_CERT_PATH must name fullchain.pem."),
    ),
    "repair.no_issuer": Wording(
        Level.FAIL,
        msgid('{file} is left alone: nothing that was found signed "{subject}"'),
        msgid("Ask the issuer for the intermediates and put them into {bundle}."),
        command="openssl x509 -in {file} -noout -issuer -ext authorityKeyIdentifier",
    ),
    "repair.unwritable": Wording(
        Level.FAIL,
        msgid("{file} cannot be written ({reason})"),
        msgid("Run the repair as root, in the server's folder."),
        command="sudo ./fix_ssl_certificate.sh",
    ),
}
