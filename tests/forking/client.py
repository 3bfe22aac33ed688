"""Runs a program in a process that `tests.forking.server` forks.

A copy of this file stands on PATH for each program, beside the server's socket. The process gets the folder, the
environment and the standard streams of this one, and the signals that it gets; this one ends as the process does.
"""

# `signal` and `socket`, which these are made for, take longer to import than all else takes.
import _signal as signal
import _socket as socket
import marshal
import os
import sys

folder, name = os.path.split(sys.argv[0])
command = [os.path.join(os.path.dirname(sys.executable), name), *sys.argv[1:]]
request = marshal.dumps((command, os.getcwd(), dict(os.environ)))
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server = socket.socket(socket.AF_UNIX)
server.connect(os.path.join(folder, "socket"))
server.sendmsg([len(request).to_bytes(4)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
server.sendall(request)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    if signal.getsignal(number) != signal.SIG_IGN:  # as a shell sets it for a command in the background
        signal.signal(number, lambda number, _: server.send(bytes([number])))
code = int(server.recv(8) or 1)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
