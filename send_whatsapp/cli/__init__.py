"""The command line `send-whatsapp`."""
