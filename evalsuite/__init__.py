"""evalsuite: perceptual quality evaluation and benchmarking of video codecs at matched bitrates."""

__version__ = "0.1.0"
