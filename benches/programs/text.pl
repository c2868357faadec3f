# Text in Perl: regular expressions, hashes, sorting, formatting.
use strict;
use warnings;

my @files = sort glob('/usr/include/linux/[a-f]*.h');
for (1 .. 2 * $ARGV[0]) {
    my (%words, %defines);
    for my $file (@files) {
        open(my $in, '<', $file) or die "cannot open $file: $!";
        while (my $line = <$in>) {
            $defines{$1} = $2 if $line =~ /^\s*#\s*define\s+(\w+)\s+(\S.*?)\s*$/;
            $line =~ s{/\*.*?\*/}{}g;
            $words{lc $_}++ for $line =~ /\b([A-Za-z_]\w{3,})\b/g;
        }
    }
    my @ranked = sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words;
    printf "%-30s %6d\n", $_, $words{$_} for @ranked[0 .. 40];
    print join(',', map { "$_=$defines{$_}" } (sort keys %defines)[0 .. 40]), "\n";
    print scalar(@ranked), ' ', scalar(keys %defines), ' ', length(join '', map { ucfirst reverse } @ranked), "\n";
}
