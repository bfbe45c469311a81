"""Strict readers for files that anybody may have written: size and depth are limited, each fault is one clear error."""
