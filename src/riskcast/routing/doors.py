"""Parts of nginx.conf that not every site has: https, and UIs of other servers.

A server stands in a variable, so that nginx looks its name up when it is asked for, not when nginx
starts: a page whose server is down is that page's trouble alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# What a page may load, by door: its own site's files, and what their authors write into pages.
# Scripts are each product's own and inline in all of them; none may be fetched from elsewhere, and
# nothing that is shown may send data anywhere but here.
_SITE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'{scripts}; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src {reach}; worker-src 'self' blob:; manifest-src 'self'; frame-src 'self'; "
    "media-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
POLICIES = {
    "mlflow": _SITE.format(scripts=" 'unsafe-eval'", reach="'self'"),
    "airflow": _SITE.format(scripts="", reach="'self'"),
    "dashboard": _SITE.format(scripts="", reach="'self'"),
    "inbox": _SITE.format(scripts="", reach="'none'"),
    "reports": _SITE.format(scripts="", reach="'none'"),  # a report is read, it asks for nothing
}
_NO_REPORTS = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>Reports</title>"
    "<body style='font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto'>"
    "<h1>Monitoring reports</h1><p>None yet. The daily run writes one for each session, and "
    "<code>riskcast run monitor</code> does it now.</p>"
)


@dataclass(frozen=True, slots=True)
class Tls:
    """The door for https.

    Attributes
    ----------
    listen : str
        ``host:port``.
    certificate, key : Path
        PEM files.
    """

    listen: str
    certificate: Path
    key: Path


def listener(tls: Tls) -> str:
    """Return the lines of a server block that make it answer https."""
    return f"""listen {tls.listen} ssl backlog=1024;
        http2 on;
        ssl_certificate "{tls.certificate}";
        ssl_certificate_key "{tls.key}";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:2m;
        ssl_session_timeout 1d;
        ssl_session_tickets off;"""


def mlflow_door(server: str) -> str:
    """Return the locations of MLflow's UI at `server`, ``host:port``, which asks for a login.

    MLflow refuses strange Host and Origin headers. It gets its own Host, and no Origin where that
    is this very site; any other it sees and refuses.
    """
    return f"""location = /mlflow {{ return 308 /mlflow/; }}
        location /mlflow/ {{
            set $door_policy "{POLICIES["mlflow"]}";
            limit_req zone=pages burst=300 nodelay;
            client_max_body_size 64m;
            set $foreign_origin $http_origin;
            if ($http_origin = "$scheme://$http_host") {{
                set $foreign_origin "";
            }}
            proxy_set_header Host {server};
            proxy_set_header Origin $foreign_origin;
            proxy_set_header Authorization $name_and_password;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 60s;
            proxy_next_upstream off;
            proxy_intercept_errors off;
            set $to {server};
            proxy_pass http://$to;
        }}"""


def airflow_door(server: str) -> str:
    """Return the locations of Airflow's UI and API at `server`, which asks for a login.

    Its API for tasks stays inside: they reach it at its own port.
    """
    return f"""location = /airflow {{ return 308 /airflow/; }}
        location /airflow/execution/ {{ return 404; }}
        location /airflow/ {{
            set $door_policy "{POLICIES["airflow"]}";
            limit_req zone=pages burst=300 nodelay;
            client_max_body_size 1m;
            proxy_read_timeout 60s;
            proxy_next_upstream off;
            proxy_intercept_errors off;
            set $to {server};
            proxy_pass http://$to;
        }}"""


def dashboard_door(server: str, users: Path) -> str:
    """Return the locations of the dashboard at `server`, for who is in the file `users`."""
    return f"""location = /dashboard {{ return 308 /dashboard/; }}
        location /dashboard/ {{
            set $door_policy "{POLICIES["dashboard"]}";
            {_login(users)}
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_kept;
            proxy_set_header Host $http_host;
            proxy_set_header Authorization "";
            proxy_read_timeout 1h;
            proxy_next_upstream off;
            set $to {server};
            proxy_pass http://$to;
        }}"""


def inbox_door(server: str) -> str:
    """Return the locations of the inbox at `server`, which asks for the login itself."""
    return f"""location = /inbox {{ return 308 /inbox/; }}
        location /inbox/ {{
            set $door_policy "{POLICIES["inbox"]}";
            limit_req zone=pages burst=300 nodelay;
            proxy_hide_header Cache-Control;
            proxy_hide_header X-Content-Type-Options;
            proxy_hide_header Referrer-Policy;
            add_header X-Content-Type-Options nosniff always;
            add_header X-Frame-Options SAMEORIGIN always;
            add_header Referrer-Policy no-referrer always;
            add_header Cache-Control no-store always;
            add_header Strict-Transport-Security $transport_security always;
            add_header Content-Security-Policy $content_policy always;
            proxy_next_upstream off;
            set $to {server};  # before the break, which ends the setting of variables, too
            rewrite ^/inbox(/.*)$ $1 break;
            proxy_pass http://$to;
        }}"""


def reports_door(folder: Path, users: Path) -> str:
    """Return the locations of the HTML reports in `folder`, for who is in the file `users`."""
    return f"""location = /reports {{ return 308 /reports/; }}
        location /reports/ {{
            set $door_policy "{POLICIES["reports"]}";
            {_login(users)}
            # A script of another type is refused by browsers.
            types {{ text/html html; text/javascript js; }}
            default_type text/html;
            alias "{folder}/";
            index index.html;
            error_page 403 = @no_reports;  # a folder that has no index yet
        }}
        location @no_reports {{
            default_type text/html;
            return 200 "{_NO_REPORTS}";
        }}"""


def _login(users: Path) -> str:
    return f'''limit_req zone=pages burst=300 nodelay;
            auth_basic "Riskcast";
            auth_basic_user_file "{users}";'''
