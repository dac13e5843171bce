# SPDX-License-Identifier: GPL-2.0-only
# Draws throw.svg from throw.dat in the current directory: depth, ours, mainline's, error codes
set terminal svg size 720,420 font "sans-serif,13" background "white"
set output "throw.svg"
set title "What a throw costs"
set xlabel "frames between the throw and the main program"
set ylabel "instructions"
set yrange [0:*]
set xrange [-0.3:7.3]
set xtics 1
set grid ytics linecolor "#dddddd"
set key top left
set style data linespoints
plot "throw.dat" using 1:3 title "bpf\\_throw of Linux 6.12" linecolor "#c0392b" pointtype 7, \
     "throw.dat" using 1:2 title "bpf\\_exceptions on Linux 6.1" linecolor "#2471a3" pointtype 7, \
     "throw.dat" using 1:4 title "error code returned instead" linecolor "#7f8c8d" pointtype 6
