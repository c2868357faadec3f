#!/usr/bin/perl
# Runs one command for the host, which is at the other end of a virtio console.
#
# Each message is a line "WORD LENGTH" and so many bytes.
#   from the host:  run (arguments, each ended by a zero byte), in (bytes for its standard input), eof (no bytes)
#   to the host:    ready (the version of all this), out, err (what the command says), exit (its code, in digits)
use strict;
use warnings;
use IPC::Open3;
use IO::Handle;
use IO::Select;
use POSIX ();
use Symbol 'gensym';

my $path = shift // '/dev/hvc0';
# Its mode lasts as long as it is open.
open(my $host, '+<:raw', $path) or die "cannot open $path: $!\n";
system('stty', '-F', $path, 'raw', '-echo') == 0 or die "cannot set the mode of $path\n";

sub send_all {
    my ($bytes) = @_;
    while (length $bytes) {
        my $count = syswrite($host, $bytes);
        if (!defined $count) {
            next if $!{EINTR};
            die "cannot write to the host: $!\n";
        }
        substr($bytes, 0, $count, '');
    }
}

sub message {
    my ($word, $bytes) = @_;
    send_all("$word " . length($bytes) . "\n" . $bytes);
}

# Bytes of the host that are no whole message yet.
my $pending = '';

sub next_message {
    return unless $pending =~ /\A(\w+) (\d+)\n/;
    my ($word, $length, $header) = ($1, $2, length $&);
    return if length($pending) < $header + $length;
    my $bytes = substr($pending, $header, $length);
    substr($pending, 0, $header + $length, '');
    return ($word, $bytes);
}

sub read_host {
    my $count = sysread($host, my $bytes, 65536);
    die "the host is gone\n" unless $count || (!defined $count && $!{EINTR});
    $pending .= $bytes if $count;
}

message('ready', '1');
my @arguments;
while (!@arguments) {
    read_host();
    while (my ($word, $bytes) = next_message()) {
        if ($word eq 'run') {
            @arguments = split(/\0/, $bytes, -1);
            pop @arguments;
            last;
        }
    }
}

$SIG{PIPE} = 'IGNORE';
my ($in, $out, $err) = (undef, undef, gensym);
my $child = eval { open3($in, $out, $err, @arguments) };
if (!$child) {
    my $reason = $! + 0 == POSIX::ENOENT() ? 127 : 126;
    message('err', "gasang: cannot run $arguments[0]: $!\n");
    message('exit', $reason);
    exit 0;
}
binmode $_ for $in, $out, $err;
# A command that waits for its output to be read must not keep this from reading it.
$in->blocking(0);

my $readers = IO::Select->new($host, $out, $err);
my $open = 2;
my ($input, $ended) = ('', 0);

sub close_input {
    close $in if $in;
    ($in, $input) = (undef, '');
}

# What the host has sent goes to the command's standard input later.
sub take_messages {
    while (my ($word, $bytes) = next_message()) {
        $input .= $bytes if $word eq 'in';
        $ended = 1 if $word eq 'eof';
    }
}

sub feed {
    my $count = syswrite($in, $input);
    if (defined $count) {
        substr($input, 0, $count, '');
    } elsif (!$!{EINTR} && !$!{EAGAIN}) {
        # The command reads no more.
        close_input();
    }
}

take_messages();
while ($open) {
    close_input() if $in && $ended && !length $input;
    my $writers = IO::Select->new($in && length $input ? $in : ());
    # Input that is not taken waits at the host.
    if (length $input > 1 << 20) { $readers->remove($host) } else { $readers->add($host) }
    my ($readable, $writable) = IO::Select->select($readers, $writers, undef);
    feed() if $writable && @$writable;
    for my $ready (@{$readable || []}) {
        if ($ready == $host) {
            read_host();
            take_messages();
            next;
        }
        my $count = sysread($ready, my $bytes, 65536);
        next if !defined $count && $!{EINTR};
        if ($count) {
            message($ready == $out ? 'out' : 'err', $bytes);
        } else {
            $readers->remove($ready);
            close $ready;
            $open--;
        }
    }
}
waitpid($child, 0);
my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
message('exit', $code);
# The host has the last word.
sleep 5 while 1;
