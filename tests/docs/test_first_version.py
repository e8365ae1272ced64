"""Whoever knows the first version of this server finds its names and commands again, in Russian."""

from tests.docs.project import page

PAGES = (
    "README.ru.md",
    "docs/install.ru.md",
    "docs/operate.ru.md",
    "docs/settings.ru.md",
    "docs/runbook.ru.md",
    "docs/upgrade.md",
    "docs/deploy-nginx.md",
    "docs/deploy-systemd.md",
    "deploy/docker/Dockerfile",
    "deploy/systemd/aisha-webhook-api.service",
)
NAMES = """
pip install
requirements.txt
cp env.example .env
run_api_server.py
python run_api_server.py
python -m app.main
SSL_ENABLED=false
app/core/config.py
ssl/aibots_kz.crt
ssl/aibots.kz.key
ssl/aibots_kz.ca-bundle
/api/v1/avatar/status_update
/api/v1/health
/api/v1/webhook/status
TrustedHost
CORS
logs/api_server.log
logs/webhook.log
curl https://aibots.kz:8443/health
curl https://aibots.kz:8443/api/v1/webhook/status
curl -X POST https://aibots.kz:8443/api/v1/avatar/status_update
-d '{"request_id": "test_123", "status": "completed"}'
-d '{"test": true}'
"result": {"test": true}
API_HOST
API_PORT
DATABASE_URL
TELEGRAM_TOKEN
FAL_API_KEY
/etc/systemd/system/aisha-webhook-api.service
Description=Aisha Bot FAL Webhook API
User=aisha
Restart=always
FROM python:3.11-slim
EXPOSE 8443
unable to get local issuer certificate
chmod +x fix_ssl_certificate.sh
sudo ./fix_ssl_certificate.sh
sudo apt install -y nginx certbot python3-certbot-nginx
sudo certbot certonly --nginx -d aibots.kz
sudo systemctl reload nginx
sudo openssl req -x509 -nodes -days 365 -newkey rsa:2048
-subj "/C=KZ/ST=Almaty/L=Almaty/O=AiBots/CN=aibots.kz"
sudo chown aisha:aisha ssl/
sudo chmod 600 ssl/aibots.kz.key
sudo chmod 644 ssl/aibots_kz.crt
{"status":"healthy","service":"Aisha Bot FAL Webhook API"}
FAL_WEBHOOK_URL=https://aibots.kz:8443/api/v1/avatar/status_update
aisha-api.service
-f /var/log/aisha/webhook_access.log
-f /var/log/nginx/error.log
sudo ufw status
/opt/aisha-backend
""".strip().splitlines()


def test_every_name_of_the_first_version_is_found_again() -> None:
    """A file, setting, path or command that the first version's pages told stands in today's."""
    for name in NAMES:
        assert any(name in page(path) for path in PAGES), name
