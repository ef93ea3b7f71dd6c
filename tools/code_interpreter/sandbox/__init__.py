"""Keeps model-written code apart from the rest of the machine, on Linux.

`level` finds out what is possible here, `namespaces` builds a private view of the machine,
`landlock` and `seccomp` restrict what is left, `privileges` drops rights and sets limits.
Everything is meant to run in a freshly forked process with a single thread, before any code of a
model.
"""
