"""Tests of imagepipe: stories over real parts."""
