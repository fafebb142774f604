"""The clouds of a rehearsal: what a run on real ones would meet, on this machine."""
