"""The wording of findings about repairs of the certificate's files."""

from app.doctor.finding import Catalogue, Level, Wording

REPAIR_WORDS: Catalogue = {
    "repair.chain": Wording(
        Level.OK,
        (
            "{file}: теперь сертификат и промежуточные по порядку ({count}); прежний лежит в {backup}",
            "{file}: now the certificate and its intermediates in order ({count}); the previous one is {backup}",
        ),
    ),
    "repair.text": Wording(
        Level.OK,
        (
            "{file}: переписан обычным текстом; прежний лежит в {backup}",
            "{file}: rewritten as plain text; the previous one is {backup}",
        ),
    ),
    "repair.key_mode": Wording(
        Level.OK, ("{file}: права теперь {mode}, было {before}", "{file}: the mode is now {mode}, it was {before}")
    ),
    "repair.key_of_another": Wording(
        Level.WARN,
        (
            "{file} не тронут: закрытый от других, он стал бы недоступен владельцу папки, а это, похоже, сервер",
            "{file} is left alone: closed to others, the owner of its folder, likely the server, could not read it",
        ),
        ("Отдайте ключ владельцу папки и закройте его.", "Give the key to the owner of its folder, and close it."),
        command="sudo chown {owner}:{group} {file} && sudo chmod o=,g-w {file}",
    ),
    "repair.key_of_server": Wording(
        Level.WARN,
        (
            "{file} не тронут: закрытый от других, он стал бы недоступен серверу (в службе User={user})",
            "{file} is left alone: closed to others, the server (User={user} in its unit) could not read it",
        ),
        ("Дайте читать его группе сервера и закройте его.", "Let the server's group read it, and close it."),
        command="sudo chgrp {group} {file} && sudo chmod g=r,o= {file}",
    ),
    "repair.more_inside": Wording(
        Level.FAIL,
        (
            "{file} не тронут: кроме сертификатов в нём {kinds}, и переписанный он бы это потерял",
            "{file} is left alone: besides certificates it holds {kinds}, which rewriting would lose",
        ),
        (
            (
                "Разложите его на файлы, как показано, назовите их в SSL_CERT_PATH и SSL_KEY_PATH и повторите; "
                "недостающие промежуточные положите в {bundle}."
            ),
            (
                "Take it apart as shown, name the parts in SSL_CERT_PATH and SSL_KEY_PATH, and try again; "
                "intermediates that are missing go into {bundle}."
            ),
        ),
    ),
    "repair.not_fetched": Wording(
        Level.FAIL,
        (
            "промежуточный «{issuer}» скачать не удалось: {url}",
            'the intermediate "{issuer}" could not be fetched: {url}',
        ),
        ("Проверьте сеть или положите его в {bundle} сами.", "Look at the network, or put it into {bundle} yourself."),
        command="curl -fsS {url} | openssl x509 -inform DER",
    ),
    "repair.root_untrusted": Wording(
        Level.FAIL,
        (
            "цепочка полна до корня «{root}», но эта система ему не доверяет",
            'the chain is complete up to the root "{root}", which this system does not trust',
        ),
        (
            "Обновите ca-certificates; если центр частный, fal ему не поверит: нужен общедоступный сертификат.",
            "Bring ca-certificates up to date; a private authority fal will not believe: take a public certificate.",
        ),
        command="sudo apt install --only-upgrade ca-certificates",
    ),
    "repair.renewal_owned": Wording(
        Level.FAIL,
        (
            "{file} принадлежит certbot: он переписывает его сам, мы не трогаем",
            "{file} belongs to certbot, which writes it itself: it is left alone",
        ),
        (
            "Пусть certbot выпустит его заново; в SSL_CERT_PATH должен стоять fullchain.pem.",
            "Let certbot issue it anew; SSL_CERT_PATH must name fullchain.pem.",
        ),
    ),
    "repair.no_issuer": Wording(
        Level.FAIL,
        (
            "{file} не тронут: среди найденного нет того, кто подписал «{subject}»",
            '{file} is left alone: nothing that was found signed "{subject}"',
        ),
        (
            "Запросите у издателя файл промежуточных и положите в {bundle}.",
            "Ask the issuer for the intermediates and put them into {bundle}.",
        ),
        command="openssl x509 -in {file} -noout -issuer -ext authorityKeyIdentifier",
    ),
    "repair.unwritable": Wording(
        Level.FAIL,
        ("{file} не записывается ({reason})", "{file} cannot be written ({reason})"),
        (
            "Запустите исправление от root, из папки сервера.",
            "Run the repair as root, in the server's folder.",
        ),
        command="sudo ./fix_ssl_certificate.sh",
    ),
}
