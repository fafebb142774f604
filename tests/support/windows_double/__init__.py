"""A call-level double of Windows machines: what is called on them, judged and answered.

No Windows and no PowerShell runs here. Ansible's own module builder, the real modules' files and
the real action plugins do; what they would have run on the machine is decoded (payload), judged
by the module's own documentation and argument specification (specification), answered by a model
of the machine (machine, modules, programs) and recorded (world).
"""
