"""The machine: errors, files, console, devices and processes. It knows nothing of brains or networks."""
