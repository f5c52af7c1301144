"""Everything that begins a send: command line, HTTP gateway, Python client."""
