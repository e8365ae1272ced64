"""The wording of findings about the chain, its trust, and what the port serves."""

from app.doctor.finding import WHO_LISTENS, Catalogue, Level, Wording

FIX_CHAIN = "aisha-webhook cert fix-chain"
CERTBOT_NEW = "sudo certbot certonly --manual --preferred-challenges dns -d {name}"
TIDY = (
    "Перепишите файл: сертификат, затем промежуточные по порядку.",
    "Rewrite the file: the certificate, then the intermediates in order.",
)

CHAIN_WORDS: Catalogue = {
    "chain.ok": Wording(
        Level.OK, ("цепочка: {subjects}; дальше корень «{root}»", 'chain: {subjects}; above it the root "{root}"')
    ),
    "chain.order": Wording(
        Level.WARN,
        (
            "{file}: сертификаты не по порядку; мы отдаём их верно, nginx отдаст как есть",
            "{file}: the certificates are out of order; they are served right by us, and as they stand by nginx",
        ),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.duplicate": Wording(
        Level.WARN,
        ("{file}: «{subject}» записан дважды", '{file}: "{subject}" stands there twice'),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.unrelated": Wording(
        Level.WARN,
        (
            "{file}: «{subject}» не ведёт от нашего сертификата к корню; клиентам он не нужен",
            '{file}: "{subject}" does not lead from our certificate to a root; clients have no use for it',
        ),
        ("Уберите его из файла.", "Take it out of the file."),
        command=FIX_CHAIN,
    ),
    "chain.other_way": Wording(
        Level.OK,
        (
            "{file}: «{subject}», подписанный «{issuer}» (до {until}), ведёт к корню другим путём; он не отдаётся",
            '{file}: "{subject}", signed by "{issuer}" (until {until}), is another way to a root; it is not sent',
        ),
    ),
    "chain.root_included": Wording(
        Level.WARN,
        (
            "{file}: корень «{subject}» отдавать незачем, он есть у клиента или не поможет",
            '{file}: the root "{subject}" need not be sent: the client has it, or it is of no help',
        ),
        TIDY,
        command=FIX_CHAIN,
    ),
    "chain.issuer_missing": Wording(
        Level.FAIL,
        (
            (
                "нет промежуточного сертификата «{issuer}» (ключ {key}): curl скажет «unable to get local issuer "
                "certificate»"
            ),
            (
                'the intermediate "{issuer}" (key {key}) is missing: curl will say "unable to get local issuer '
                'certificate"'
            ),
        ),
        (
            "Издатель держит его по адресу {url}; его можно скачать и дописать в {cert}.",
            "The issuer keeps it at {url}; it can be fetched and put into {cert}.",
        ),
        command=FIX_CHAIN,
    ),
    "chain.not_full": Wording(
        Level.FAIL,
        (
            "{file} — файл certbot без промежуточных; рядом лежит {whole}, где они есть",
            "{file} is certbot's file without intermediates; beside it lies {whole}, which has them",
        ),
        (
            "Напишите в .env SSL_CERT_PATH={whole} и перезапустите сервер.",
            "Write SSL_CERT_PATH={whole} into .env and start the server again.",
        ),
        command="openssl storeutl -noout -certs {whole}",
    ),
    "chain.issuer_unknown": Wording(
        Level.FAIL,
        (
            (
                "«{issuer}» (ключ {key}) не найден ни в файлах, ни среди корней системы, и сертификат не говорит, "
                "где он лежит"
            ),
            (
                '"{issuer}" (key {key}) is neither in the files nor among this system\'s roots, and the certificate '
                "does not say where it lies"
            ),
        ),
        (
            (
                "Запросите у издателя файл промежуточных и положите в {bundle}; если это частный центр, fal ему не "
                "поверит."
            ),
            (
                "Ask the issuer for the intermediates and put them into {bundle}; if it is a private authority, fal "
                "will not believe it."
            ),
        ),
        command="openssl x509 -in {cert} -noout -issuer -ext authorityKeyIdentifier",
    ),
    "chain.issuer_other_key": Wording(
        Level.FAIL,
        (
            "«{issuer}» в файлах есть, но с другим ключом: нужен {key}, а лежит {found}",
            '"{issuer}" is in the files, but with another key: {key} is needed, {found} is there',
        ),
        (
            "Это промежуточный другого поколения: замените его тем, что выдан вместе с сертификатом.",
            "It is the intermediate of another generation: replace it by the one that came with the certificate.",
        ),
        command=FIX_CHAIN,
    ),
    "trust.ok": Wording(
        Level.OK,
        (
            "корни этой системы ({count}) доверяют сертификату сейчас и через {days} дней",
            "the roots of this system ({count}) trust the certificate now and in {days} days",
        ),
    ),
    "trust.self_signed": Wording(
        Level.WARN,
        (
            (
                "сертификат самоподписанный. Принимает ли такие fal, в его документации не сказано (docs/fal.md), а "
                "его клиент похож на тот, что проверяет. Надёжный выбор — общедоступный сертификат с полной цепочкой"
            ),
            (
                "the certificate is self-signed. fal's tolerance of self-signed certificates is not documented "
                "(docs/fal.md), and its client looks like one that verifies; a public chain is the safe choice"
            ),
        ),
        ("Возьмите сертификат Let's Encrypt.", "Take one from Let's Encrypt."),
        command=CERTBOT_NEW,
    ),
    "trust.refused": Wording(
        Level.FAIL,
        (
            "проверка по корням этой системы не проходит: {reason}",
            "verification by the roots of this system fails: {reason}",
        ),
        ("Закажите новый сертификат у общедоступного центра.", "Order a new certificate from a public authority."),
        command="openssl verify -verbose -untrusted {cert} {cert}",
    ),
    "trust.ends_soon": Wording(
        Level.WARN,
        (
            "через {days} дней цепочке уже не поверят: {reason}",
            "in {days} days the chain will no longer be trusted: {reason}",
        ),
        ("Продлите сертификат вместе с промежуточными.", "Renew the certificate together with its intermediates."),
    ),
    "trust.no_roots": Wording(
        Level.WARN,
        (
            "у этой системы нет корневых сертификатов: доверие не проверить, и исходящий TLS не заработает",
            "this system has no root certificates: trust cannot be judged, and TLS to the outside will not work",
        ),
        ("Поставьте пакет ca-certificates.", "Install the package ca-certificates."),
        command="sudo apt install ca-certificates",
    ),
}
SERVED_WORDS: Catalogue = {
    "served.ok": Wording(
        Level.OK,
        ("{address} отдаёт эту цепочку ({count}), {version}", "{address} serves this chain ({count}), {version}"),
    ),
    "served.seen": Wording(
        Level.OK,
        (
            "{address} отдаёт «{subject}», {version}; сравнить не с чем",
            '{address} serves "{subject}", {version}; there is nothing to compare it with',
        ),
    ),
    "served.refused": Wording(
        Level.FAIL,
        (
            "{address} не принимает соединений: сервер не запущен",
            "{address} refuses connections: the server does not run",
        ),
        ("Запустите сервер.", "Start the server."),
        command="sudo systemctl start aisha-webhook-api || make run",
    ),
    "served.unreachable": Wording(
        Level.FAIL,
        ("{address} не отвечает ({reason})", "{address} does not answer ({reason})"),
        ("Посмотрите, кто слушает порт и что говорит журнал.", "See who listens on the port and what the log says."),
        command=WHO_LISTENS,
    ),
    "served.no_tls": Wording(
        Level.FAIL,
        ("{address} не говорит на TLS 1.2 и новее ({reason})", "{address} does not speak TLS 1.2 or newer ({reason})"),
        (
            "Проверьте SSL_ENABLED и что порт занят нашим сервером.",
            "Look at SSL_ENABLED, and whether it is our server that has the port.",
        ),
        command=WHO_LISTENS,
    ),
    "served.other_certificate": Wording(
        Level.FAIL,
        (
            "{address} отдаёт другой сертификат, чем в файлах: «{subject}», до {until}",
            '{address} serves another certificate than the files hold: "{subject}", until {until}',
        ),
        (
            (
                "Файлы перечитываются за секунды. Если не помогло: порт держит кто-то другой, или пару отвергли (см. "
                "журнал)."
            ),
            "Files are read again within seconds. If that is no help, another has the port, or the log says why not.",
        ),
        command=WHO_LISTENS,
    ),
    "served.other_chain": Wording(
        Level.FAIL,
        (
            "{address} отдаёт тот же сертификат с другой цепочкой: {served} вместо {expected}",
            "{address} serves the same certificate with another chain: {served} in place of {expected}",
        ),
        (
            "Если порт держит nginx, укажите ему в ssl_certificate файл с полной цепочкой.",
            "Where nginx has the port, give its ssl_certificate the file with the full chain.",
        ),
        command=WHO_LISTENS,
    ),
}
