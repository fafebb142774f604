"""A call-level double of Windows machines, which validates and answers the calls of modules.

Neither Windows nor PowerShell runs here, but Ansible's own module builder, the real modules' files
and the real action plugins. What they would run on the machine is decoded (payload), validated
against the module's documentation and argument specification (specification), answered by a model
of the machine (machine, modules, programs) and recorded (world).
"""
