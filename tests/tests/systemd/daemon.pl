#!/usr/bin/perl
# daemon.pl PIDFILE COMMAND...: becomes the command in the background, in the way of daemon(7): it forks twice, and keeps
# nothing open that it has inherited.
use strict;
use POSIX ();

my ($pid_file, @command) = @ARGV;
fork and POSIX::_exit(0);
POSIX::setsid();
fork and POSIX::_exit(0);
POSIX::close($_) for 0 .. POSIX::sysconf(POSIX::_SC_OPEN_MAX()) - 1;
POSIX::open('/dev/null', POSIX::O_RDWR()) for 0 .. 2;
open my $file, '>', $pid_file or POSIX::_exit(1);
print $file "$$\n";
close $file;
exec @command;
