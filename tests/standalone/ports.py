import socket


def free_ports(count):
    """Return ports nobody listens on: held together, then let go."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


PORT_SETTINGS = (
    "api_port",
    "blue_port",
    "green_port",
    "airflow_port",
    "mlflow_port",
    "redis_port",
    "dashboard_port",
    "inbox_port",
    "smtp_port",
)


def port_settings():
    return dict(zip(PORT_SETTINGS, map(str, free_ports(len(PORT_SETTINGS))), strict=True))
