"""Stage `download`: archives from the publisher, a mirror or the sample, resumed and checked."""
