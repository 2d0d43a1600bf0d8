#!/usr/bin/perl
# serve.pl PORT: a web server that tells its process id and user id, and exits with status 7 after GET /exit.
use strict;
use IO::Socket::INET;

my $server = IO::Socket::INET->new(LocalHost => '127.0.0.1', LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1)
    or die "bind: $!\n";
while (my $client = $server->accept) {
    my $path = (split ' ', <$client>)[1];
    while (<$client>) { last if /^\r?\n$/ }
    # Before the answer: who has read it is not to meet this server again.
    close $server if $path eq '/exit';
    print $client "HTTP/1.0 200 OK\r\n\r\npid $$ uid $<\n";
    exit 7 if $path eq '/exit';
}
