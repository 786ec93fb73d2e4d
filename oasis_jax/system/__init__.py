"""The machine: errors, files, console, devices and processes; nothing of brains or networks."""
