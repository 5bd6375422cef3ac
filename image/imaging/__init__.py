"""What the build of the appliance image does outside the machine that it builds."""
