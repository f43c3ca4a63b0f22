"""Autobahn's wstest, Python 2, with settings of its own from the environment:

WSTEST_SHARD=I/K           run each K-th case only, from the I-th on
WSTEST_DEFLATE_MESSAGES=N  messages in each 12.* and 13.* case (the suite's own number: 1000)

A fuzzingserver listens on a free port of 127.0.0.1, which it prints, and writes its reports when
it is sent SIGTERM.
"""
import os

from autobahntestsuite import case, caseset, fuzzing, wstest
from twisted.internet import reactor


def run_a_share(shard, of):
    whole = caseset.CaseSet.parseSpecCases
    caseset.CaseSet.parseSpecCases = lambda self, spec: whole(self, spec)[shard - 1::of]


def reduce_messages(count):
    for c in case.Case12_X_X + case.Case13_X_X:
        c.COUNT = count


def listen_on_loopback():
    listen = reactor.listenTCP

    def listen_on_free_port(_port, factory, backlog=50, _interface=""):
        listener = listen(0, factory, backlog, "127.0.0.1")
        # With which the Host header is compared.
        factory.externalPort = listener.getHost().port
        print("listening on port %d" % factory.externalPort)
        return listener

    reactor.listenTCP = listen_on_free_port


def end_without_cases():
    """A fuzzingclient ends after its last case, but not if it has none."""
    begin = fuzzing.FuzzingClientFactory.__init__

    def begin_or_end(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        if not self.specCases:
            reactor.callWhenRunning(reactor.stop)

    fuzzing.FuzzingClientFactory.__init__ = begin_or_end


def report_at_the_end():
    begin = fuzzing.FuzzingServerFactory.__init__

    def begin_and_report(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        reactor.addSystemEventTrigger("before", "shutdown", self.createReports)

    fuzzing.FuzzingServerFactory.__init__ = begin_and_report


if os.environ.get("WSTEST_SHARD"):
    run_a_share(*map(int, os.environ["WSTEST_SHARD"].split("/")))
if os.environ.get("WSTEST_DEFLATE_MESSAGES"):
    reduce_messages(int(os.environ["WSTEST_DEFLATE_MESSAGES"]))
listen_on_loopback()
end_without_cases()
report_at_the_end()
wstest.run()
