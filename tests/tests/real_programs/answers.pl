#!/usr/bin/perl
# answers.pl PORT [ADDRESS]: a web server that tells its process id and user id.
use strict;
use IO::Socket::IP;

my ($port, $address) = @ARGV;
my $server = IO::Socket::IP->new(LocalHost => $address // '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1)
    or die "bind: $!\n";
while (my $client = $server->accept) {
    while (<$client>) { last if /^\r?\n$/ }
    print $client "HTTP/1.0 200 OK\r\n\r\npid $$ uid $<\n";
}
