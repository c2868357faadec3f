# Numbers in Perl: integers, floats, arrays, calls.
use strict;
use warnings;

sub fibonacci { my $n = shift; return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2) }

sub matrix {
    my ($size) = @_;
    my @a = map { my $row = $_; [map { ($row * $_ % 17) / 3 } 1 .. $size] } 1 .. $size;
    my @product;
    for my $i (0 .. $size - 1) {
        for my $j (0 .. $size - 1) {
            my $sum = 0;
            $sum += $a[$i][$_] * $a[$_][$j] for 0 .. $size - 1;
            $product[$i][$j] = $sum;
        }
    }
    return unpack('H*', pack('d', $product[$size - 1][$size / 2]));
}

sub random_walk {
    my ($steps) = @_;
    my ($seed, $x) = (12345, 0);
    for (1 .. $steps) {
        $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
        $x += ($seed >> 16) & 1 ? 1 : -1;
    }
    return $x;
}

for (1 .. $ARGV[0]) {
    print join(' ', fibonacci(20), matrix(60), random_walk(400000), 3**0.5 * atan2(1, 3)), "\n";
}
