"""`make load`: bursts through gateway, worker and a real server; what became of each message."""
