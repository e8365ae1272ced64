#!/usr/bin/env bash
# Looks at the TLS certificate and mends what is safe to mend: `aisha-webhook doctor tls --fix`.
# Arguments are passed on, such as --json or --strict. Works from any folder, with sudo or without.
set -euo pipefail

cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

# Started with sudo it must leave no files of root among the code.
export PYTHONDONTWRITEBYTECODE=1

for python in .venv/bin/python venv/bin/python "${PYTHON:-}" python3; do
    if [ -n "$python" ] && command -v "$python" >/dev/null &&
        "$python" -c 'import app.cli.doctor' >/dev/null 2>&1; then
        exec "$python" -m app.cli doctor tls --fix "$@"
    fi
done

{
    echo "Окружения Python нет или оно неполное. Создайте его: make setup"
    echo "There is no Python environment, or it is not complete. To make it: make setup"
} >&2
exit 78
