"""Tests of trainer/kernels."""
