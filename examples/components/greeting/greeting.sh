#!/bin/sh
echo "hello from a component that Docker has built" >/dev/console
exec sleep 2147483647
