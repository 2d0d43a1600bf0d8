#!/usr/bin/perl
# A server for start_server: answers on every socket that it is given.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my @sockets = map { IO::Socket::INET->new_from_fd((split /=/)[1], 'r+') } split /;/, $ENV{SERVER_STARTER_PORT};
my $select = IO::Select->new(@sockets);
while (1) {
    for my $ready ($select->can_read) {
        my $client = $ready->accept or next;
        while (<$client>) { last if /^\r?\n$/ }
        print $client "HTTP/1.0 200 OK\r\n\r\nalice's page";
        close $client;
    }
}
