//! NAL units of H.264 and H.265: which are coded pictures, and what a picture's hash is made of.
