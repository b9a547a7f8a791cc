#!/bin/sh
# Makes the clips of `segue demo`: 48 s of a title, a clock and a moving ball, once as of one encoder
# that feeds both packagers and once for each of two, which show their letters. MPEG-TS in units of 2 s, which the packagers join to segments; the lists
# say where each unit begins. 48 s are whole frames of both audio and video, so that a
# loop has no seam; the encoder's first audio frame, which holds its delay, is dropped for that.
# Needs ffmpeg and the DejaVu fonts. Run it by hand after a change; the results are committed.
set -eu
cd "$(dirname "$0")"

clip() {
    title=$1 size=$2 colour=$3 name=$4
    ffmpeg -v error -y -f lavfi -i "color=c=$colour:s=640x360:r=25:d=48" \
        -f lavfi -i "sine=f=196:r=48000:d=48" -filter_complex "
        color=c=white:s=18x18:r=25:d=48[ball];
        [0:v]drawbox=x=0:y=328:w=640:h=32:c=black@0.3:t=fill,
        drawtext=font='DejaVu Sans\:bold':text=$title:fontsize=$size:fontcolor=white:x=180-tw/2:y=167-th/2,
        drawtext=font='DejaVu Sans Mono':fontsize=76:fontcolor=white:x=356:y=130:
        text='%{eif\:floor(t)\:d\:2}.%{eif\:mod(floor(t*10)\,10)\:d}'[v0];
        [v0][ball]overlay=x='mod(t*155.5\,622)':y=335[v];
        [1:a]volume=0.04[a]" -map '[v]' -map '[a]' \
        -c:v libx264 -preset veryslow -crf 29 -profile:v main -pix_fmt yuv420p \
        -g 25 -keyint_min 25 -sc_threshold 0 -bf 0 -fflags +bitexact -flags:v +bitexact \
        -c:a aac -b:a 24k -ac 1 -flags:a +bitexact -bsf:a "noise=drop=lt(n\,1)" \
        -f hls -hls_time 2 -hls_list_size 0 -hls_flags single_file -hls_playlist_type vod \
        -hls_segment_filename "$name.ts" "$name.m3u8"
}

clip A 250 0x2f6db3 a
clip B 250 0xb8652a b
clip LIVE 96 0x2b6a5c one
