"""Facts of this machine: names, ports, firewall, nginx, disk, git. Looks only; nothing here needs root."""
