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
# Room for a kernel that is compressed, where the board does not say it.
if test -z "${kernel_comp_addr_r}"; then
  if test "${devtype}" = virtio; then setenv kernel_comp_addr_r 0x50000000; setenv kernel_comp_size 0x02000000; fi
  if test "${vendor}" = raspberrypi; then setenv kernel_comp_addr_r 0x0a000000; setenv kernel_comp_size 0x02000000; fi
fi
# Scratch memory: nothing is loaded there, and nothing is uncompressed there before all is checked.
setenv m0 ${kernel_comp_addr_r}
if test -z "${m0}"; then setexpr m0 ${scriptaddr} + 0x20000; fi
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
setenv sane 'setenv good 0; if test "${bistable_default}" = A || test "${bistable_default}" = B; then if test "${bistable_trial}" = A || test "${bistable_trial}" = B || test "${bistable_trial}" = -; then if test -n "${bistable_left}"; then setenv good 1; fi; fi; fi'
if run read0 || run read0; then if env import -c ${m0} 0x200 ${keys}; then run sane; if test ${good} = 1; then setenv s0 ${bistable_seq}; fi; fi; fi
if run read1 || run read1; then if env import -c ${m1} 0x200 ${keys}; then run sane; if test ${good} = 1; then setenv s1 ${bistable_seq}; fi; fi; fi
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
# All is loaded first and checked then: what one load writes over another is found, too.
setenv compare 'setenv sound 0; if crc32 ${addr} 0x${bytes} ${mv}; then mw.l ${mw} 0x${crc}; if cmp.l ${mv} ${mw} 1; then setenv sound 1; else mw.l ${mw} 0x${swapped}; if cmp.l ${mv} ${mw} 1; then setenv sound 1; fi; fi; fi; if test ${sound} = 0; then setenv ok 0; echo "bistable: slot ${slot}: ${file} is damaged"; fi'
setenv get 'load ${dev}:${bp} ${addr} ${file}'
setenv get_one 'if run get || run get; then if itest 0x${filesize} -eq 0x${bytes}; then true; else setenv ok 0; echo "bistable: slot ${slot}: ${file} has another length"; fi; else setenv ok 0; fi'
setenv the_kernel 'setenv file ${kernel}; setenv addr ${kernel_addr_r}; setenv bytes ${kernel_bytes}; setenv crc ${kernel_crc}; setenv swapped ${kernel_crc_swapped}'
setenv the_fdt 'setenv file ${fdt}; setenv addr ${fdt_addr_r}; setenv bytes ${fdt_bytes}; setenv crc ${fdt_crc}; setenv swapped ${fdt_crc_swapped}'
setenv the_initrd 'setenv file ${initrd}; setenv addr ${ramdisk_addr_r}; setenv bytes ${initrd_bytes}; setenv crc ${initrd_crc}; setenv swapped ${initrd_crc_swapped}'
setenv get_all 'run the_kernel; run get_one; setenv dt ${fdt_addr}; if test -n "${fdt}"; then run the_fdt; run get_one; setenv dt ${fdt_addr_r}; fi; setenv rd -; if test -n "${initrd}"; then run the_initrd; run get_one; setenv rd ${ramdisk_addr_r}:${initrd_bytes}; fi'
setenv check_all 'run the_kernel; run compare; if test -n "${fdt}"; then run the_fdt; run compare; fi; if test -n "${initrd}"; then run the_initrd; run compare; fi'
# What must hold for a trial to end comes first: of two words of a kind the later one counts, so a product can say otherwise.
setenv always "panic=5 watchdog_disarm=0 watchdog.open_timeout=60"
setenv go 'echo "bistable: booting slot ${slot}, trial ${trial}"; setenv bootargs "${always} ${cmdline} root=PARTLABEL=system_${label} bistable.slot=${slot} bistable.trial=${trial}"; booti ${kernel_addr_r} ${rd} ${dt}'
setenv boot_slot 'if test ${slot} = A; then setenv bp 2; setenv label a; else setenv bp 3; setenv label b; fi; setenv addr ${me}; setenv file bistable.env; if run get || run get; then if env import -t ${me} ${filesize} ${names} && env import -t ${me} ${filesize} ${more_names}; then setenv ok 1; run get_all; if test ${ok} = 1; then run check_all; fi; if test ${ok} = 1; then run go; fi; fi; fi; echo "bistable: slot ${slot} did not start"'

setenv slot ${first}
run boot_slot
setenv slot ${second}
setenv trial 0
run boot_slot
echo "bistable: no slot could be started; reset in 10 s"
sleep 10
reset
