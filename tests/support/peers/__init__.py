"""Real programs that the interop tests talk to, each started headless on loopback by the test itself."""
