#!/bin/sh
# Hands a certificate that certbot has just renewed to Aisha's fal webhook server.
#
# `aisha-webhook cert install-hook` writes this file with your settings in the four lines below; after changing
# API_DOMAIN, SSL_CERT_PATH or SSL_KEY_PATH run it again. certbot calls it with RENEWED_LINEAGE (the folder that holds
# fullchain.pem and privkey.pem) and RENEWED_DOMAINS (the names, with spaces between).
set -euf # no globbing: a name may be *.aibots.kz

domain=aibots.kz
cert=/opt/aisha-backend/ssl/aibots_kz.crt
key=/opt/aisha-backend/ssl/aibots.kz.key
unit=aisha-webhook-api

say() {
    printf 'aisha-webhook: %s\n' "$*"
}

# What certbot finds on stderr it shows as an error of the hook.
warn() {
    say "$@" >&2
}

# Is one of the renewed names ours? A wildcard stands for one label.
covers() {
    for name in $RENEWED_DOMAINS; do
        case $name in
            "$domain" | "*.${domain#*.}") return 0 ;;
        esac
    done
    return 1
}

# prepare FROM TO MODE: put a copy beside TO that belongs to whoever TO (or its folder) belongs to.
prepare() {
    like=$2
    [ -e "$like" ] || like=$(dirname "$2")
    install -m "$3" -o "$(stat -L -c %u "$like")" -g "$(stat -L -c %g "$like")" "$1" "$2.new"
}

# A key is nobody else's; a group that may read it today still may.
key_mode() {
    if [ -e "$key" ]; then
        mode=$(stat -L -c %a "$key")
        echo "${mode%?}0"
    else
        echo 600
    fi
}

copy() {
    trap 'rm -f "$cert.new" "$key.new"' EXIT
    prepare "$RENEWED_LINEAGE/privkey.pem" "$key" "$(key_mode)"
    prepare "$RENEWED_LINEAGE/fullchain.pem" "$cert" 644
    # Both renames at once: the server takes a pair when it has found the same files twice.
    mv -f "$key.new" "$key"
    mv -f "$cert.new" "$cert"
    say "copied to $cert and $key"
}

# The server looks at its files every two seconds; this only saves the wait. nginx would never look.
reload() {
    command -v systemctl >/dev/null || return 0
    if systemctl is-active --quiet nginx; then
        systemctl reload nginx || warn "nginx was not reloaded; to see why: nginx -t"
    fi
    if systemctl is-active --quiet "$unit"; then
        systemctl reload "$unit" 2>/dev/null || systemctl kill --signal=HUP "$unit" || warn "$unit was not told"
    fi
}

: "${RENEWED_LINEAGE:?certbot sets it to the folder of the renewed certificate}"
: "${RENEWED_DOMAINS:?certbot sets it to the names in the renewed certificate}"

if ! covers; then
    say "not for $domain: $RENEWED_DOMAINS"
    exit 0
fi
if [ "$(readlink -f "$cert")" != "$(readlink -f "$RENEWED_LINEAGE/fullchain.pem")" ]; then
    copy
fi
reload
