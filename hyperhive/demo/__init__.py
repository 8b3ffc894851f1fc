"""The guided demo, whose model is a script on loopback."""
