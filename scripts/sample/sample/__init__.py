"""The parts of the sample release; make-sample.py is the way in."""
