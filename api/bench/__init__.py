"""What `tanglewatt bench` measures: one file per load, and the form in which figures are told."""
