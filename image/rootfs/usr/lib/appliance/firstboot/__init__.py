"""First boot of the appliance: from an empty disk and a stick to a site that runs its release.

Runs at every boot. Each step looks at what is there and does only the rest, so a power cut at any moment costs nothing but
the step under way, and a system disk that is replaced finds the site on the data disk and continues from there.
"""
