# Bistable's boot script for U-Boot: which slot boots, and what if it doesn't.
#
# The flag is the boot block: two copies, one sector each, in the partition `state`, in the format of `env export -c`.
# What is said here, bistable-boot says in Rust (module bootblock: the format and the decision); its tests hold the
# numbers below against each other. Needs only what distributions build in: env import/export -c, part, setexpr, itest,
# crc32, cmp, booti. Numbers are hexadecimal.
#
# Distro boot sets devtype (mmc, virtio, usb, nvme) and devnum.
setenv dev "${devtype} ${devnum}"
setenv keys "bistable_default bistable_left bistable_seq bistable_trial"
part start ${dev} 7 state
setexpr c0 ${state} + 0xc000
setexpr c1 ${state} + 0xe000
setexpr m0 ${scriptaddr} + 0x20000
setexpr m1 ${m0} + 0x1000
setexpr mw ${m0} + 0x2000
setexpr mv ${m0} + 0x3000
setexpr me ${m0} + 0x4000
setenv s0
setenv s1
${devtype} dev ${devnum}
# Each read is tried twice: a moment's trouble with the newer copy must not let the older one count.
setenv read0 '${devtype} read ${m0} ${c0} 1'
setenv read1 '${devtype} read ${m1} ${c1} 1'
if run read0 || run read0; then if env import -c ${m0} 0x200 ${keys}; then setenv s0 ${bistable_seq}; fi; fi
if run read1 || run read1; then if env import -c ${m1} 0x200 ${keys}; then setenv s1 ${bistable_seq}; fi; fi
setenv cur none
if test -n "${s0}"; then setenv cur 0; fi
if test -n "${s1}"; then if test -z "${s0}"; then setenv cur 1; elif itest 0x${s1} -gt 0x${s0}; then setenv cur 1; fi; fi
if test ${cur} = 0; then env import -c ${m0} 0x200 ${keys}; setenv spare ${c1}
elif test ${cur} = 1; then env import -c ${m1} 0x200 ${keys}; setenv spare ${c0}
else echo "bistable: no valid boot block; slot A first, then B"; setenv bistable_seq 0; setenv bistable_default A; setenv bistable_trial -; setenv bistable_left 0
fi
echo "bistable: boot block ${cur}, number ${bistable_seq}: default ${bistable_default}, trial ${bistable_trial}, left ${bistable_left}"

setenv first ${bistable_default}
if test "${first}" = A; then setenv second B; else setenv second A; fi
setenv trial 0
if test "${bistable_trial}" = A || test "${bistable_trial}" = B; then
  if itest 0x${bistable_left} -gt 0; then
    # Counted before it is tried: whatever happens from here on, this try is used up.
    setexpr bistable_left ${bistable_left} - 1
    setexpr bistable_seq ${bistable_seq} + 1
    mw.b ${mw} 0 0x200
    mw.b ${mv} 0xff 0x200
    env export -c -s 0x200 ${mw} ${keys}
    if ${devtype} write ${mw} ${spare} 1 && ${devtype} read ${mv} ${spare} 1 && cmp.b ${mw} ${mv} 0x200; then
      setenv first ${bistable_trial}
      if test "${first}" = A; then setenv second B; else setenv second A; fi
      setenv trial 1
    else
      echo "bistable: this try could not be counted, so slot ${first} boots"
    fi
  fi
fi

# bistable.env, on each slot's boot volume, names what is booted and has its checksums. `crc32 addr len dest` stores
# little-endian in some builds and big-endian in others, so both are there. In two lists, since a command may have 16 words;
# importing a name that is not there deletes it.
setenv names "cmdline kernel kernel_bytes kernel_crc kernel_crc_swapped"
setenv more_names "initrd initrd_bytes initrd_crc initrd_crc_swapped fdt fdt_bytes fdt_crc fdt_crc_swapped"
setenv verify 'setenv sound 0; if itest 0x${filesize} -eq 0x${want_bytes} && crc32 ${addr} ${filesize} ${mv}; then mw.l ${mw} 0x${want_crc}; if cmp.l ${mv} ${mw} 1; then setenv sound 1; else mw.l ${mw} 0x${want_swapped}; if cmp.l ${mv} ${mw} 1; then setenv sound 1; fi; fi; fi'
setenv get 'load ${dev}:${bp} ${addr} ${file}'
setenv get_kernel 'setenv ok 0; setenv addr ${kernel_addr_r}; setenv file ${kernel}; if run get || run get; then setenv want_bytes ${kernel_bytes}; setenv want_crc ${kernel_crc}; setenv want_swapped ${kernel_crc_swapped}; run verify; if test ${sound} = 1; then setenv ok 1; else echo "bistable: slot ${slot}: ${kernel} is damaged"; fi; fi'
setenv get_fdt 'setenv dt ${fdt_addr}; if test -n "${fdt}"; then setenv ok 0; setenv addr ${fdt_addr_r}; setenv file ${fdt}; if run get || run get; then setenv want_bytes ${fdt_bytes}; setenv want_crc ${fdt_crc}; setenv want_swapped ${fdt_crc_swapped}; run verify; if test ${sound} = 1; then setenv ok 1; setenv dt ${fdt_addr_r}; else echo "bistable: slot ${slot}: ${fdt} is damaged"; fi; fi; fi'
setenv get_initrd 'setenv rd -; if test -n "${initrd}"; then setenv ok 0; setenv addr ${ramdisk_addr_r}; setenv file ${initrd}; if run get || run get; then setenv want_bytes ${initrd_bytes}; setenv want_crc ${initrd_crc}; setenv want_swapped ${initrd_crc_swapped}; run verify; if test ${sound} = 1; then setenv ok 1; setenv rd ${ramdisk_addr_r}:${initrd_bytes}; else echo "bistable: slot ${slot}: ${initrd} is damaged"; fi; fi; fi'
setenv go 'echo "bistable: booting slot ${slot}, trial ${trial}"; setenv bootargs "${cmdline} root=PARTLABEL=system_${label} bistable.slot=${slot} bistable.trial=${trial}"; booti ${kernel_addr_r} ${rd} ${dt}'
setenv boot_slot 'if test ${slot} = A; then setenv bp 2; setenv label a; else setenv bp 3; setenv label b; fi; setenv addr ${me}; setenv file bistable.env; if run get || run get; then if env import -t ${me} ${filesize} ${names} && env import -t ${me} ${filesize} ${more_names}; then run get_kernel; if test ${ok} = 1; then run get_fdt; fi; if test ${ok} = 1; then run get_initrd; fi; if test ${ok} = 1; then run go; fi; fi; fi; echo "bistable: slot ${slot} did not start"'

# Room for a kernel that is compressed.
if test "${devtype}" = virtio; then setenv kernel_comp_addr_r 0x50000000; else setenv kernel_comp_addr_r 0x0a000000; fi
setenv kernel_comp_size 0x02000000

setenv slot ${first}
run boot_slot
setenv slot ${second}
setenv trial 0
run boot_slot
echo "bistable: no slot could be started; reset in 10 s"
sleep 10
reset
